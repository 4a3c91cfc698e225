//! Measures synced appends of the disk itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Instant;

const APPEND_OCTETS: usize = 4096;

/// Seconds for `appends` synced appends by several threads, each with its own file. The files are removed afterwards.
pub(crate) fn appends(folder: &Path, threads: usize, appends: usize) -> io::Result<f64> {
    let paths: Vec<_> = (0..threads).map(|number| folder.join(format!("append-{number}"))).collect();
    let files = paths.iter().map(File::create).collect::<io::Result<Vec<_>>>()?;
    let begin = Instant::now();
    let outcome: io::Result<()> = thread::scope(|scope| {
        let workers: Vec<_> =
            files.into_iter().map(|file| scope.spawn(|| append(file, appends / threads))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    });
    let seconds = begin.elapsed().as_secs_f64();
    paths.iter().try_for_each(fs::remove_file)?;
    outcome.map(|()| seconds)
}

fn append(mut file: File, appends: usize) -> io::Result<()> {
    for _ in 0..appends {
        file.write_all(&[b'x'; APPEND_OCTETS])?;
        file.sync_data()?;
    }
    Ok(())
}
