//! Slowloris, in and out: each connection ends within a limit, and others are served meanwhile.

use tokio::task::JoinSet;

use super::*;

/// Sends `bytes` one by one, again and again, until the server has had enough; says how long that took, and its last words.
async fn drip(mut stream: TcpStream, beginning: &str, bytes: &[u8]) -> (Duration, String) {
    let began = Instant::now();
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let dripping = async {
        for byte in bytes.iter().cycle() {
            // The pace of the attack itself; nothing is waited for.
            tokio::time::sleep(Duration::from_millis(20)).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let ended = async {
        tokio::select! {
            () = dripping => {}
            _ = reader.read_to_end(&mut answer) => {}
        }
    };
    let ended = timeout(TEST_LIMIT, ended).await;
    ended.expect("the server was patient without end");
    (
        began.elapsed(),
        String::from_utf8_lossy(&answer).into_owned(),
    )
}

async fn others_are_served(server: &Server) {
    for _ in 0..50 {
        let took = server.health().await;
        assert!(took < Duration::from_secs(2), "others waited for {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_clients_that_drip_their_headers_are_cut_and_hold_up_nobody() {
    let server = Server::start(HttpOptions {
        header_read_timeout: Duration::from_secs(1),
        ..HttpOptions::default()
    })
    .await;
    let mut drippers = JoinSet::new();
    for _ in 0..300 {
        let stream = server.connect().await;
        let beginning = "GET /health HTTP/1.1\r\nHost: a\r\n";
        drippers.spawn(async move { drip(stream, beginning, b"X-Slow: a\r\n").await });
    }
    others_are_served(&server).await;
    while let Some(dripper) = drippers.join_next().await {
        let (took, _) = dripper.unwrap();
        assert!(took < Duration::from_secs(10), "cut after {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_drip_their_bodies_are_answered_408_and_cut_and_hold_up_nobody() {
    let server = Server::start(HttpOptions::default()).await;
    let head = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
    let mut drippers = JoinSet::new();
    for _ in 0..100 {
        let stream = server.connect().await;
        drippers.spawn(async move { drip(stream, head, b" ").await });
    }
    others_are_served(&server).await;
    while let Some(dripper) = drippers.join_next().await {
        let (took, answer) = dripper.unwrap();
        assert!(took < Duration::from_secs(15), "cut after {took:?}");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_and_never_reads_loses_its_place() {
    let server = Server::start(HttpOptions {
        unread_limit: Duration::from_millis(500),
        max_connections: 1,
        ..HttpOptions::default()
    })
    .await;
    let mut greedy = server.connect().await;
    let request = b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n";
    greedy.write_all(request).await.unwrap();
    greedy.readable().await.unwrap();
    // There is one place. Somebody else gets it once the greedy one has lost it, which is still there.
    let freed = async {
        loop {
            let answer = server.answer(HEALTH).await;
            if answer.starts_with("HTTP/1.1 200 OK\r\n") {
                break;
            }
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 503 "),
                "{answer}"
            );
        }
    };
    let freed = timeout(TEST_LIMIT, freed).await;
    freed.expect("the place was never given again");
    drop(greedy);
}
