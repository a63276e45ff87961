//! io: A form that brings one file, read into memory.

use crate::files::upload::plain_name;
use crate::web::{Budget, Incoming, Problem};

/// The file of a form, of so many bytes at most, and what it is called.
pub async fn read_file(form: Incoming, most: u64) -> Result<(Vec<u8>, String), Problem> {
    const FILE: &str = "file";
    // The form has a little around it.
    let mut incoming = form.within(Budget { whole: most + (64 << 10), texts: 0 });
    let (mut octets, mut name) = (Vec::new(), String::new());
    while let Some((_, mut field)) = incoming.next(&[FILE]).await? {
        name = field.content_disposition().and_then(|it| it.get_filename()).map(plain_name).unwrap_or_default();
        octets.clear();
        while let Some(piece) = incoming.piece(&mut field).await? {
            octets.extend_from_slice(&piece);
        }
    }
    Ok((octets, name))
}
