//! A browser with no patience left at a fixed time.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

#[derive(Clone)]
pub struct Browser {
    pub address: SocketAddr,
    pub cookie: String,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    pub took: Duration,
    /// When the answer had come, by the clock that sends are stamped with.
    pub at: DateTime<Utc>,
}

impl Answer {
    /// A button that was pressed without scripts sends its browser on.
    pub fn did_it(&self) -> bool {
        self.status == 303
    }
}

/// A form with its encoding.
pub enum Form<'a> {
    Fields(&'a [(&'a str, &'a str)]),
    /// With one file in the field `file`, after the others.
    Parts(&'a [(&'a str, &'a str)], Option<(&'a str, &'a str)>),
    Signed(&'a [u8], &'a str),
}

impl Browser {
    pub fn sign_in(address: SocketAddr, email: &str, password: &str) -> Browser {
        let stranger = Browser { address, cookie: String::new() };
        let form = Form::Fields(&[("email", email), ("password", password)]);
        let answer = stranger.post("/sign-in", &form, Duration::from_secs(20)).unwrap();
        let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("signed in");
        Browser { address, cookie: cookie.split(';').next().unwrap_or_default().to_owned() }
    }

    pub fn get(&self, path: &str, patience: Duration) -> Result<Answer> {
        self.ask("GET", path, "", &[], patience)
    }

    /// Presses a button that has no form.
    pub fn press(&self, path: &str, patience: Duration) -> Result<Answer> {
        self.post(path, &Form::Fields(&[]), patience)
    }

    pub fn post(&self, path: &str, form: &Form, patience: Duration) -> Result<Answer> {
        const EDGE: &str = "----an-edge-that-no-file-holds";
        match form {
            Form::Fields(fields) => {
                let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(*fields).finish();
                self.ask("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", body.as_bytes(), patience)
            }
            Form::Parts(fields, file) => {
                let mut body = String::new();
                for (name, value) in *fields {
                    body.push_str(&format!(
                        "--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                    ));
                }
                if let Some((name, text)) = file {
                    body.push_str(&format!(
                        "--{EDGE}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                         Content-Type: text/csv\r\n\r\n{text}\r\n"
                    ));
                }
                body.push_str(&format!("--{EDGE}--\r\n"));
                let header = format!("Content-Type: multipart/form-data; boundary={EDGE}\r\n");
                self.ask("POST", path, &header, body.as_bytes(), patience)
            }
            Form::Signed(body, signature) => {
                let header = format!("Content-Type: application/json\r\nX-Signature-256: {signature}\r\n");
                self.ask("POST", path, &header, body, patience)
            }
        }
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8], patience: Duration) -> Result<Answer> {
        let began = Instant::now();
        let left = || {
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() { Err(Error::from(ErrorKind::TimedOut)) } else { Ok(left) }
        };
        let mut stream = TcpStream::connect_timeout(&self.address, left()?)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(left()?))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\nCookie: {}\r\n\
             {headers}Content-Length: {}\r\n\r\n",
            self.address,
            self.cookie,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let (mut heard, mut piece) = (Vec::new(), [0; 16 << 10]);
        loop {
            stream.set_read_timeout(Some(left()?))?;
            match stream.read(&mut piece)? {
                0 => break,
                n => heard.extend_from_slice(&piece[..n]),
            }
        }
        let (at, took) = (Utc::now(), began.elapsed());
        let heard = String::from_utf8_lossy(&heard);
        let (head, body) = heard.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or(ErrorKind::InvalidData)?;
        let head = head.lines().map(|line| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}\n", name.to_ascii_lowercase()),
            None => format!("{line}\n"),
        });
        Ok(Answer { status, head: head.collect(), body: body.to_owned(), took, at })
    }
}
