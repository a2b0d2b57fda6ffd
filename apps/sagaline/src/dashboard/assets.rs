//! The files of the page.

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sagaline_service_kit::Problem;

/// One file, as `scripts/build-dashboard` made it.
struct Asset {
    path: &'static str,
    plain: &'static [u8],
    brotli: &'static [u8],
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/dashboard_assets.rs"));

/// Nothing but this origin, no inline script or style, no frame around it. `wasm-unsafe-eval` allows WebAssembly and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Sagaline</title><body>\
     <h1>The dashboard is not part of this build</h1><p>Run <code>scripts/build-dashboard</code>, then build again. \
     <code>scripts/demo</code> does both.</p>";

/// Whether there is a page in this binary.
pub(super) fn is_built() -> bool {
    find("/index.html").is_some()
}

/// `GET /`, and every path that is a view of the page.
pub(super) async fn page(headers: HeaderMap) -> Response {
    let mut response = match find("/index.html") {
        Some(asset) => answer(asset, &headers),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            )],
            NOT_BUILT,
        )
            .into_response(),
    };
    let set = response.headers_mut();
    // It names the files of this version, so it is asked for each time.
    set.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        set.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// `GET /assets/…`: their names are made of their contents, so they may be kept for good.
pub(super) async fn asset(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let asset = find(uri.path()).ok_or_else(|| Problem::not_found("there is no such file"))?;
    let mut response = answer(asset, &headers);
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    Ok(response)
}

fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

fn answer(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let mut response = if takes_brotli(headers) {
        (
            [(header::CONTENT_ENCODING, HeaderValue::from_static("br"))],
            asset.brotli,
        )
            .into_response()
    } else {
        asset.plain.into_response()
    };
    let set = response.headers_mut();
    set.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(asset.path)),
    );
    set.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn takes_brotli(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| {
        accepted.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim() == "br" && !matches!(weight.trim(), "q=0" | "q=0.0")
        })
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
