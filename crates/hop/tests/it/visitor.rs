//! Somebody who is signed in on a site's pages: HTTP as a browser sends it, as far as forms need it.

use std::io::{Read, Write};
use std::net::TcpStream;

/// A signed-in visitor.
pub(crate) struct Visitor {
    address: String,
    cookie: String,
}

/// What a page answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Visitor {
    /// Uses a sign-in link.
    pub(crate) fn sign_in(link: &str) -> Self {
        let (address, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut visitor = Self { address: address.to_owned(), cookie: String::new() };
        let answer = visitor.post(&format!("/{path}"), "");
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        visitor.cookie = cookie.split(';').next().unwrap().to_owned();
        visitor
    }

    /// Sends a form and waits for the answer.
    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        let Self { address, cookie } = self;
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
            form.len()
        ))
    }

    fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}
