//! What is too large, and what is no HTTP.

use super::*;

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read_and_the_connection_ends() {
    let server = Server::start(HttpOptions::default()).await;
    let announced = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n";
    let answer = server.answer(announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let head = "POST /orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4_096));
    let chunked = format!("{head}{}", chunk.repeat(17));
    let answer = server.answer(chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    for headers in [
        format!("X: {}\r\n", "x".repeat(300_000)),
        "X: y\r\n".repeat(5_000),
    ] {
        let request = format!("GET /health HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let answer = server.answer(request.as_bytes()).await;
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 431 ");
        assert!(refused, "{} bytes of headers: {answer}", headers.len());
    }
    server.health().await;
}

#[tokio::test]
async fn what_is_no_http_and_what_two_servers_read_differently_gets_one_refusal_at_most() {
    let server = Server::start(HttpOptions::default()).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /hea\x00lth HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"POST /orders HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        let shown = String::from_utf8_lossy(bytes);
        assert!(!answer.contains("HTTP/1.1 200"), "{shown:?}: {answer}");
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{shown:?}: {answer}");
    }
    server.health().await;
}

#[tokio::test]
async fn a_length_beside_chunks_smuggles_no_second_request() {
    let server = Server::start(HttpOptions::default()).await;
    // Read by its length the body would be `0\r\n\r\n`, and a request of somebody else's would follow.
    let smuggled = b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 49\r\nTransfer-Encoding: chunked\r\n\r\n\
        0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\nX-Pad: aa\r\n\r\n";
    let mut stream = server.connect().await;
    stream.write_all(smuggled).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
}
