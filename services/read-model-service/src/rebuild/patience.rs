//! Waiting out an outage, but not for ever: somebody waits for the end.

use std::time::Duration;

use sagaline_runtime::Outage;

const PAUSE: Duration = Duration::from_millis(500);
const OUTAGES_MAX: u32 = 60;

/// How many outages in a row were waited out.
#[derive(Debug, Default)]
pub(super) struct Patience {
    outages: u32,
}

impl Patience {
    /// Waits, unless it was long enough.
    pub(super) async fn wait_out(&mut self, outage: Outage) -> Result<(), Outage> {
        if self.outages >= OUTAGES_MAX {
            return Err(outage);
        }
        self.outages += 1;
        tracing::warn!(error = outage.chain(), "outage: waiting");
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// It works again.
    pub(super) fn renew(&mut self) {
        self.outages = 0;
    }
}

/// Does something until it succeeds, or the patience is at its end.
macro_rules! patiently {
    ($patience:expr, $work:expr) => {
        loop {
            match $work {
                Ok(done) => {
                    $patience.renew();
                    break done;
                }
                Err(error) => $patience.wait_out(error.into()).await?,
            }
        }
    };
}

pub(super) use patiently;
