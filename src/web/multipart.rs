use actix_multipart::Multipart;
use futures_util::TryStreamExt;

use super::Problem;

/// What a form with a file in it holds, read as a whole.
///
/// For long texts and small files; campaign files have a way of their own, which
/// needs no memory for them.
#[derive(Debug, Default)]
pub struct Parts(Vec<(String, Vec<u8>)>);

impl Parts {
    /// All parts together in bytes at most.
    const MOST: usize = 16 << 20;

    pub async fn read(mut form: Multipart) -> Result<Parts, Problem> {
        let broke_off = |_| Problem::Invalid("The form did not come through whole".to_owned());
        let (mut parts, mut size) = (Parts::default(), 0);
        while let Some(mut field) = form.try_next().await.map_err(broke_off)? {
            let (name, mut bytes) = (field.name().unwrap_or_default().to_owned(), Vec::new());
            while let Some(piece) = field.try_next().await.map_err(broke_off)? {
                size += piece.len();
                // What is too much is read to its end, so that the browser hears the answer.
                if size <= Self::MOST {
                    bytes.extend_from_slice(&piece);
                }
            }
            parts.0.push((name, bytes));
        }
        if size > Self::MOST {
            return Err(Problem::Invalid(format!("At most {} MiB fit here", Self::MOST >> 20)));
        }
        Ok(parts)
    }

    /// The text of a part, in UTF-8 or as old spreadsheets write it; empty when there is no such part.
    pub fn text(&self, name: &str) -> String {
        let Some((_, bytes)) = self.0.iter().find(|(part, _)| part == name) else { return String::new() };
        let text = match encoding_rs::Encoding::for_bom(bytes) {
            Some((encoding, _)) => encoding.decode(bytes).0,
            None if std::str::from_utf8(bytes).is_ok() => String::from_utf8_lossy(bytes),
            None => encoding_rs::WINDOWS_1252.decode(bytes).0,
        };
        // Postgres cannot store it, and no address has one.
        text.replace('\0', "")
    }
}
