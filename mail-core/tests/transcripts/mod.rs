//! Makes a test of each transcript file of a folder.

/// `transcripts!("folder", play; name name ...)`: a test for each `transcripts/folder/name.txt`, played by
/// `play(name, text)`, and one that no file of the folder is left out. The files stand in the test binary, as
/// WebAssembly has no file system.
macro_rules! transcripts {
    ($folder:literal, $play:expr; $($name:ident)*) => {
        $(#[test]
        fn $name() {
            let play: fn(&str, &str) = $play;
            play(stringify!($name), include_str!(concat!("transcripts/", $folder, "/", stringify!($name), ".txt")));
        })*

        #[cfg(not(target_arch = "wasm32"))]
        #[test]
        fn every_transcript_is_played() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts/", $folder);
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .expect("the transcripts are beside this file")
                .map(|entry| entry.expect("the folder can be read").file_name().into_string().expect("a plain name"))
                .collect();
            files.sort();
            let mut played = vec![$(concat!(stringify!($name), ".txt")),*];
            played.sort_unstable();
            assert_eq!(files, played);
        }
    };
}
