//! stub header while writing
