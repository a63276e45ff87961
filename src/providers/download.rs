//! Fetches files that came with messages.

use url::Url;

use super::MediaHeard;
use super::caller::{Caller, HttpAsk, TOO_LONG, Unanswered};
use super::media::{FetchedMedia, Unfetched};

/// Bytes of a file that came with a message, at most.
pub const LARGEST_HEARD: usize = 16 << 20;
/// How often an answer may lead on to another address.
const LED_ON: usize = 3;

/// Fetches a file from an address. What proves who asks is told to the first host alone: files lie at other people's.
pub async fn download(caller: &Caller, url: &str, proof: &[(String, String)]) -> Result<FetchedMedia, Unfetched> {
    let (mut url, mut headers) = (url.to_owned(), proof.to_vec());
    for _ in 0..=LED_ON {
        let ask = HttpAsk {
            method: "GET".to_owned(),
            url: url.clone(),
            headers: headers.clone(),
            most: Some(LARGEST_HEARD),
            ..HttpAsk::default()
        };
        let answer = match caller.ask(&ask, &|| true).await {
            Some(Ok(answer)) => answer,
            Some(Err(Unanswered::Misset(why))) => return Err(Unfetched::Never(why)),
            Some(Err(Unanswered::Lost(why))) if why == TOO_LONG => {
                return Err(Unfetched::Never(format!("it is larger than {} MB", LARGEST_HEARD >> 20)));
            }
            Some(Err(unanswered)) => return Err(Unfetched::Later(unanswered.words())),
            None => return Err(Unfetched::Later("it was not asked for".to_owned())),
        };
        match answer.status {
            200..=299 if answer.body.is_empty() => return Err(Unfetched::Later("the file is empty".to_owned())),
            200..=299 => return Ok(FetchedMedia { octets: answer.body }),
            301..=303 | 307 | 308 => {
                let on = answer.header("location").and_then(|to| Url::parse(&url).ok()?.join(to).ok());
                let Some(on) = on else { return Err(Unfetched::Never("it leads nowhere".to_owned())) };
                if Url::parse(&url).is_ok_and(|from| from.origin() != on.origin()) {
                    headers.clear();
                }
                url = on.into();
            }
            status @ (404 | 410) => return Err(Unfetched::Never(format!("HTTP {status}: it is not there any more"))),
            status => return Err(Unfetched::Later(format!("HTTP {status}"))),
        }
    }
    Err(Unfetched::Never("it leads from one address to the next".to_owned()))
}

/// Fetches what came with a message from where it lies for everybody; `None`: it lies nowhere.
pub async fn download_open(caller: &Caller, heard: &MediaHeard) -> Option<Result<FetchedMedia, Unfetched>> {
    match heard.url.starts_with("http") {
        true => Some(download(caller, &heard.url, &[]).await),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one call with this, and tells what was asked.
    async fn answers(with: impl Fn(&str) -> String + Send + 'static) -> (String, tokio::task::JoinHandle<String>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).await.unwrap();
            let asked = String::from_utf8_lossy(&asked[..n]).into_owned();
            stream.write_all(with(&asked).as_bytes()).await.unwrap();
            asked
        });
        (url, asked)
    }

    #[tokio::test]
    async fn what_proves_who_asks_is_told_to_nobody_else_and_our_own_network_is_not_asked() {
        let proof = [("Authorization".to_owned(), "Bearer t0ken".to_owned())];
        let file = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nGIF";
        let (store, asked_of_store) = answers(move |_| file.to_owned()).await;
        let on = format!("HTTP/1.1 302 Found\r\nlocation: {store}/file\r\ncontent-length: 0\r\n\r\n");
        let (provider, asked_of_provider) = answers(move |_| on.clone()).await;
        let near = Caller::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let got = download(&near, &format!("{provider}/1"), &proof).await;
        assert_eq!(got, Ok(FetchedMedia { octets: b"GIF".to_vec() }));
        assert!(asked_of_provider.await.unwrap().to_lowercase().contains("bearer t0ken"));
        assert!(!asked_of_store.await.unwrap().to_lowercase().contains("t0ken"));

        let long = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}",
            LARGEST_HEARD + 1,
            "x".repeat(LARGEST_HEARD + 1)
        );
        let (long, _) = answers(move |_| long.clone()).await;
        let got = download(&near, &long, &[]).await;
        assert_eq!(got, Err(Unfetched::Never("it is larger than 16 MB".to_owned())), "and is not fetched again");

        let guarded = Caller::new(Vec::new());
        for inside in ["http://169.254.169.254/latest", "http://127.0.0.1:1/", "http://10.0.0.1/", "file:///etc/passwd"]
        {
            assert!(matches!(download(&guarded, inside, &proof).await, Err(Unfetched::Never(_))), "{inside}");
        }
    }
}
