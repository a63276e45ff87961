//! What lies at an address, by how that ends: providers want to be told before they fetch it.

/// What somebody sees or hears of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileLook {
    Picture,
    Video,
    Sound,
    /// A document, or whatever else.
    Other,
}

impl FileLook {
    pub fn of(url: &str) -> FileLook {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "jpg" | "jpeg" | "png" | "gif" => FileLook::Picture,
            "mp4" | "3gp" | "mov" => FileLook::Video,
            "aac" | "amr" | "mp3" | "m4a" | "ogg" | "opus" | "wav" => FileLook::Sound,
            _ => FileLook::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_name_ends_with() {
        let of = |name: &str| FileLook::of(&format!("https://a.example/{name}"));
        assert_eq!((of("b.PNG?size=1.mp4"), of("b.mp4#t")), (FileLook::Picture, FileLook::Video));
        assert_eq!((of("c.mp3"), of("c.pdf")), (FileLook::Sound, FileLook::Other));
        assert_eq!((of("v1.png/plain"), of("")), (FileLook::Other, FileLook::Other));
    }
}
