//! A broker by itself: `broker PORT [DATA_DIR [SEGMENT_BYTES]]`. Prints its address when it accepts connections, ends
//! on Ctrl-C.

use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments
        .next()
        .ok_or("usage: broker PORT [DATA_DIR [SEGMENT_BYTES]]")?
        .parse()?;
    let mut config = BrokerConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        data_dir: arguments.next().map(PathBuf::from),
        ..BrokerConfig::default()
    };
    if let Some(bytes) = arguments.next() {
        config.segment_bytes = bytes.parse()?;
    }
    let broker = EmbeddedBroker::start(config).await?;
    println!("{}", broker.address());
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await;
    Ok(())
}
