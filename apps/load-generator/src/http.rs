//! A lean HTTP/1.1 client: one connection, one request at a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a connection may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 4 << 20;

/// The address of a service: `http://host[:port][/prefix]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    host: String,
    port: u16,
    authority: HeaderValue,
    prefix: String,
}

/// The address of a service cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It asks for TLS.
    #[error(
        "TLS is not spoken here: measure the service itself, over http://, not the proxy before it"
    )]
    Tls,
    /// It is no URL of a service.
    #[error("expected http://host[:port][/prefix], such as http://127.0.0.1:4001")]
    NotHttp,
}

impl FromStr for BaseUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let uri: Uri = text.trim().parse().map_err(|_| BadUrl::NotHttp)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(BadUrl::Tls),
            _ => return Err(BadUrl::NotHttp),
        }
        let authority = uri.authority().ok_or(BadUrl::NotHttp)?;
        if uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty()
        {
            return Err(BadUrl::NotHttp);
        }
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| BadUrl::NotHttp)?,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "http://{}{}",
            self.authority.to_str().unwrap_or(&self.host),
            self.prefix
        )
    }
}

impl BaseUrl {
    /// A path below the address, as a request target.
    pub(crate) fn path(&self, path: &str) -> Result<Uri, HttpError> {
        let target = format!("{}{path}", self.prefix);
        target.parse().map_err(|_| HttpError::BadTarget(target))
    }
}

/// A request got no answer that could be read.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection could be opened.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// The connection broke, or the other side spoke no HTTP.
    #[error("the connection broke")]
    Connection(#[source] hyper::Error),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The answer is larger than anything that this program asks for.
    #[error("the answer is larger than 4 MiB")]
    TooLarge,
    /// A path cannot be asked for.
    #[error("`{0}` is no path")]
    BadTarget(String),
    /// The answer has another status than the one that was needed.
    #[error("unexpected status {0}")]
    Status(StatusCode),
}

impl HttpError {
    /// Under which name it is counted.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Connect(error) => format!("cannot connect: {}", error.kind()),
            Self::Connection(_) => "the connection broke".to_owned(),
            other => other.to_string(),
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One connection, opened when it is needed and again when it broke.
#[derive(Debug)]
pub(crate) struct Client {
    base: BaseUrl,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) fn new(base: BaseUrl) -> Self {
        Self { base, sender: None }
    }

    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Posts JSON and reads the whole answer.
    pub(crate) async fn post(
        &mut self,
        target: Uri,
        json: Bytes,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        let mut request = self.request(Method::POST, target, Full::new(json));
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        self.exchange(request, limit).await
    }

    /// Gets a whole answer.
    pub(crate) async fn get(&mut self, path: &str, limit: Duration) -> Result<Answer, HttpError> {
        let target = self.base.path(path)?;
        let request = self.request(Method::GET, target, Full::default());
        self.exchange(request, limit).await
    }

    /// Opens an event stream. The connection is the stream's from then on.
    pub(crate) async fn stream(mut self, path: &str, limit: Duration) -> Result<Stream, HttpError> {
        let target = self.base.path(path)?;
        let mut request = self.request(Method::GET, target, Full::default());
        let accept = HeaderValue::from_static("text/event-stream");
        request.headers_mut().insert(ACCEPT, accept);
        let response = within(limit, self.send(request)).await?;
        if response.status() != StatusCode::OK {
            return Err(HttpError::Status(response.status()));
        }
        Ok(Stream {
            body: response.into_body(),
            _client: self,
        })
    }

    fn request(&self, method: Method, target: Uri, body: Full<Bytes>) -> Request<Full<Bytes>> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target;
        request
            .headers_mut()
            .insert(HOST, self.base.authority.clone());
        request
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        let answered = within(limit, async {
            let response = self.send(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT)
                .collect()
                .await
                .map_err(body_error)?;
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            })
        })
        .await;
        if answered.is_err() {
            // An answer may still be under way on it, to a question that nobody waits for any more.
            self.sender = None;
        }
        answered
    }

    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, HttpError> {
        let mut kept = self.sender.take();
        let usable = match &mut kept {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        let mut sender = match kept {
            Some(sender) if usable => sender,
            _ => self.connect().await?,
        };
        let response = sender
            .send_request(request)
            .await
            .map_err(HttpError::Connection)?;
        self.sender = Some(sender);
        Ok(response)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let address = (self.base.host.as_str(), self.base.port);
        let stream = match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(connected) => connected.map_err(HttpError::Connect)?,
            Err(_) => return Err(HttpError::Timeout),
        };
        stream.set_nodelay(true).map_err(HttpError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(HttpError::Connection)?;
        // It ends by itself once its sender is gone; its errors reach whoever waits for an answer.
        tokio::spawn(connection);
        sender.ready().await.map_err(HttpError::Connection)?;
        Ok(sender)
    }
}

/// An open event stream.
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    _client: Client,
}

impl Stream {
    /// The next piece, `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(HttpError::Connection)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, HttpError>>,
) -> Result<T, HttpError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(HttpError::Timeout))
}

fn body_error(error: Box<dyn std::error::Error + Send + Sync>) -> HttpError {
    if error.is::<LengthLimitError>() {
        return HttpError::TooLarge;
    }
    match error.downcast::<hyper::Error>() {
        Ok(error) => HttpError::Connection(*error),
        Err(_) => HttpError::TooLarge,
    }
}

/// The target of the next page, from a `Link` header.
pub(crate) fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(hyper::header::LINK);
    let links = links
        .iter()
        .filter_map(|link| link.to_str().ok())
        .flat_map(|link| link.split(','));
    for link in links {
        let (target, parameters) = link.split_once(';')?;
        if parameters.contains(r#"rel="next""#) || parameters.contains("rel=next") {
            let target: Uri = target.trim().trim_matches(['<', '>']).parse().ok()?;
            return target.path_and_query().map(PathAndQuery::to_string);
        }
    }
    None
}

/// A value as one segment of a path.
pub(crate) fn segment(value: &str) -> String {
    use fmt::Write;
    let mut segment = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_host_port_and_prefix() {
        let url: BaseUrl = "http://shop:4001/api/".parse().unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.prefix.as_str()),
            ("shop", 4001, "/api")
        );
        assert_eq!(url.path("/orders").unwrap(), "/api/orders");
        assert_eq!(url.to_string(), "http://shop:4001/api");
        let v6: BaseUrl = "http://[::1]:4001".parse().unwrap();
        assert_eq!((v6.host.as_str(), v6.port), ("::1", 4001));
        assert_eq!("http://shop".parse::<BaseUrl>().unwrap().port, 80);
    }

    #[test]
    fn what_is_no_service_is_refused() {
        assert_eq!("https://shop".parse::<BaseUrl>(), Err(BadUrl::Tls));
        for wrong in [
            "shop:4001",
            "ftp://shop",
            "",
            "http://",
            "http://u:p@shop",
            "http://shop?x=1",
            "/orders",
        ] {
            assert_eq!(wrong.parse::<BaseUrl>(), Err(BadUrl::NotHttp), "{wrong}");
        }
    }

    #[test]
    fn the_next_page_is_found_in_a_link_header() {
        let headers = |link: &str| {
            HeaderMap::from_iter([(hyper::header::LINK, HeaderValue::from_str(link).unwrap())])
        };
        let relative = headers(r#"</orders?cursor=a%20b>; rel="next""#);
        assert_eq!(
            next_page(&relative).as_deref(),
            Some("/orders?cursor=a%20b")
        );
        let among_others =
            headers(r#"<http://h/a>; rel="prev", <http://h/orders?cursor=x>; rel="next""#);
        assert_eq!(
            next_page(&among_others).as_deref(),
            Some("/orders?cursor=x")
        );
        assert_eq!(next_page(&headers(r#"<http://h/a>; rel="prev""#)), None);
        assert_eq!(next_page(&HeaderMap::new()), None);
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("a/../b?c d"), "a%2F..%2Fb%3Fc%20d");
        assert_eq!(segment("0190-Ab_~."), "0190-Ab_~.");
    }
}
