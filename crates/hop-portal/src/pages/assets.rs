//! Files that pages load. Their addresses hold a hash of their content, so that browsers may keep them for ever.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::OnceLock;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use hyper::{StatusCode, header};

/// A file.
pub(crate) struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    url: OnceLock<String>,
}

pub(crate) static STYLE: Asset =
    Asset::new("style.css", "text/css; charset=utf-8", include_bytes!("../../assets/style.css"));
pub(crate) static SCRIPT: Asset =
    Asset::new("script.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/script.js"));
pub(crate) static HTMX: Asset =
    Asset::new("htmx.js", "text/javascript; charset=utf-8", include_bytes!("../../assets/htmx/htmx.min.js"));
pub(crate) static ICON: Asset =
    Asset::new("icon.svg", "image/svg+xml", include_bytes!("../../assets/icon.svg"));

static ALL: [&Asset; 4] = [&STYLE, &SCRIPT, &HTMX, &ICON];

impl Asset {
    const fn new(name: &'static str, kind: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, kind, bytes, url: OnceLock::new() }
    }

    /// Where pages load it from.
    pub(crate) fn url(&self) -> String {
        let made = self.url.get_or_init(|| {
            let mut hash = DefaultHasher::new();
            self.bytes.hash(&mut hash);
            format!("/assets/{:016x}-{}", hash.finish(), self.name)
        });
        made.clone()
    }
}

/// Answers with a file; only under the address of this very content.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let found = ALL.iter().find(|asset| asset.url().strip_prefix("/assets/") == Some(&name));
    match found {
        Some(asset) => {
            let keep = "public, max-age=31536000, immutable";
            ([(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, keep)], asset.bytes).into_response()
        }
        None => super::plain(StatusCode::NOT_FOUND, "There is no such file."),
    }
}
