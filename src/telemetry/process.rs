//! What the system says of this process, under the names that every exporter of Prometheus uses.

use std::fs;

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

use super::exposition::Exposition;

/// Writes what is known; what the system does not tell is left out. `started`: seconds since 1970.
pub fn write(text: &mut Exposition, started: f64) {
    text.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", started);
    if let Some(seconds) = cpu_seconds() {
        text.counter("process_cpu_seconds_total", "Seconds that the process spent on processors.", seconds);
    }
    if let Some(bytes) = resident_bytes() {
        text.gauge("process_resident_memory_bytes", "Memory that the process holds.", bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The folder that is read is one of them.
        text.gauge(
            "process_open_fds",
            "Files and connections that are open.",
            open.count().saturating_sub(1),
        );
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        text.gauge("process_max_fds", "How many may be.", most);
    }
}

/// User and system time.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, in brackets, may hold anything; the third is the first behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok().map(f64::from);
    let per_second = u32::try_from(clock_ticks_per_second()).ok()?;
    Some((ticks()? + ticks()?) / f64::from(per_second))
}

fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_open_files_and_spends_time() {
        let mut text = Exposition::default();
        write(&mut text, 1_700_000_000.5);
        let text = text.into_text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") < 1e6);
        assert!((value("process_start_time_seconds") - 1_700_000_000.5).abs() < 1e-3);
    }
}
