//! A broker by itself: `broker PORT [DATA_DIR]`. Prints its address when it accepts connections, ends on Ctrl-C.

use sagaline_embedded_broker::{BrokerConfig, EmbeddedBroker};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments
        .next()
        .ok_or("usage: broker PORT [DATA_DIR]")?
        .parse()?;
    let broker = EmbeddedBroker::start(BrokerConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        data_dir: arguments.next().map(PathBuf::from),
        ..BrokerConfig::default()
    })
    .await?;
    println!("{}", broker.address());
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await;
    Ok(())
}
