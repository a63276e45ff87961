//! A bug that panics: a page of ours and a line in our log, and everybody else is served on.

use std::panic::{AssertUnwindSafe, PanicHookInfo, set_hook};

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures_util::FutureExt;

use super::Problem;

/// Answers with a page when what is further in panics; the connection goes on.
pub async fn survive(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    // What the request held is dropped with it, and connections to the database that
    // were lent meanwhile are not lent again.
    AssertUnwindSafe(async { next.call(req).await })
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Problem::Panicked.into()))
}

/// From now on a panic anywhere is told as other errors are: in one line, in the format of the log.
pub fn tell_of_panics() {
    set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo) {
    let what = panic.payload_as_str().unwrap_or("without a word");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a bug: {what}");
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::panic::{catch_unwind, take_hook};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_one_line_of_the_log_and_says_where() {
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || written.clone()).finish();
        let usual = take_hook();
        tell_of_panics();
        tracing::subscriber::with_default(subscriber, || catch_unwind(|| panic!("{}", "half a letter")).unwrap_err());
        set_hook(usual);

        let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&lines).expect("one line");
        assert_eq!(line["fields"]["message"], "a bug: half a letter");
        assert!(line["fields"]["place"].as_str().unwrap().starts_with("src/web/panics.rs:"), "{line}");
    }
}
