//! The servers start, die and come back; what they keep is checked by those who use them.

use std::net::TcpStream;

use sagaline_testkit::{ApacheKafka, Kind, MongoServer};

fn accepts(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

#[tokio::test]
async fn kafka_accepts_connections_after_a_crash_and_a_restart() {
    let mut kafka = ApacheKafka::start().await.unwrap();
    let address = kafka.brokers();
    assert!(accepts(&address));
    kafka.kill_9().unwrap();
    assert!(!accepts(&address));
    kafka.restart().await.unwrap();
    assert_eq!(kafka.brokers(), address);
    assert!(accepts(&address));
    drop(kafka);
    assert!(!accepts(&address), "a dropped server is gone");
}

#[tokio::test]
async fn several_mongo_servers_run_side_by_side_and_come_back_on_their_ports() {
    let (first, second) = tokio::join!(
        MongoServer::start(Kind::Memory),
        MongoServer::start(Kind::H2)
    );
    let (first, mut second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.url(), second.url());
    let url = second.url();
    let address = url
        .trim_start_matches("mongodb://")
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    second.kill_9().unwrap();
    assert!(!accepts(&address));
    second.restart().await.unwrap();
    assert_eq!(second.url(), url);
    assert!(accepts(&address));
}
