//! What a figure was measured on.

use std::fs;

use crate::run;

/// One paragraph: processor, memory, kernel, compiler, tools, commit.
pub(super) fn describe() -> anyhow::Result<String> {
    let cpu =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_kib: f64 = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0.0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let system = field_of(
        &fs::read_to_string("/etc/os-release").unwrap_or_default(),
        "PRETTY_NAME",
        '=',
    )
    .unwrap_or_default()
    .replace('"', "");
    let commit = run::output(run::program("git").args(["describe", "--always", "--dirty"]))?;
    let rustc = run::output(run::program("rustc").arg("--version"))?;
    let ffmpeg = run::output(run::program("ffmpeg").arg("-version"))?;
    let ffmpeg: Vec<&str> = ffmpeg.split_whitespace().take(3).collect();
    Ok(format!(
        "Machine: {cpu}, {cores} cores, {:.0} GiB, {system}, Linux {}. {}, release build; {}. Commit {}.",
        memory_kib / 1024.0 / 1024.0,
        kernel.trim(),
        rustc.trim(),
        ffmpeg.join(" "),
        commit.trim()
    ))
}

fn field(file: &str, key: &str) -> Option<String> {
    field_of(&fs::read_to_string(file).ok()?, key, ':')
}

fn field_of(text: &str, key: &str, separator: char) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(separator)?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_key() {
        assert_eq!(
            field_of("a\t: 1\nmodel name\t: Fast One\n", "model name", ':').as_deref(),
            Some("Fast One")
        );
        assert_eq!(
            field_of("NAME=x\nPRETTY_NAME=\"Y 12\"", "PRETTY_NAME", '=').as_deref(),
            Some("\"Y 12\"")
        );
    }
}
