//! The files of the page. They are the same for everybody, so they need no key.

use super::guard::plain;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use hyper::{StatusCode, header};

const STYLE: &str = include_str!("../../assets/style.css");
const SCRIPT: &str = include_str!("../../assets/live.js");

/// Answers with one.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "style.css" => ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response(),
        "live.js" => ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response(),
        _ => plain(StatusCode::NOT_FOUND, "There is no such file."),
    }
}
