//! What a worker that was taken over can do: nothing.

use crate::common::{gops, job, program, stamp};
use crate::raw::RawWorker;
use framewell_decode::protocol::setup::{Hardware, Landlock};
use framewell_decode::protocol::wire::{Failure, Reply};
use framewell_decode::{Job, Picture};
use framewell_testkit::encode::ClipSpec;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

const SIGABRT: i32 = 6;
const SIGSYS: i32 = 31;

fn good_job() -> Job {
    let spec = ClipSpec {
        frames: 3,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let gop = &gops(&clip)[0];
    job(&clip, gop, &[gop[2].pts.ticks])
}

/// A job that misbehaves.
fn hook(name: &str) -> Job {
    let mut job = good_job();
    let mut video = (*job.video).clone();
    video.config = format!("test-hook:{name}").into_bytes().into();
    job.video = video.into();
    job
}

type Ran = io::Result<Result<Vec<Picture>, Failure>>;

fn run(args: &[&str], name: &str) -> (RawWorker, Ran) {
    let mut worker = RawWorker::start(&[args, &["--test-hooks"]].concat());
    let ran = worker.run(&hook(name), None);
    (worker, ran)
}

/// The signal that ended the worker.
fn killed_by(args: &[&str], name: &str) -> Option<i32> {
    let (mut worker, ran) = run(args, name);
    assert!(ran.is_err(), "{name}: {ran:?}");
    worker.child.wait().unwrap().signal()
}

#[test]
fn a_worker_tells_how_it_is_locked_up() {
    let Reply::Hello {
        sandbox, hardware, ..
    } = RawWorker::start(&[]).hello.clone()
    else {
        panic!("no hello");
    };
    assert!(sandbox.has_seccomp, "{sandbox}");
    assert_eq!(hardware, Hardware::Off);
    if sandbox.landlock_abi >= 4 {
        assert_eq!(sandbox.landlock, Landlock::Full);
        assert!(matches!(
            RawWorker::start(&["--sandbox", "require"]).hello.clone(),
            Reply::Hello { sandbox, .. } if sandbox.is_full()
        ));
    }
    let off = RawWorker::start(&["--sandbox", "off"]).hello.clone();
    assert!(matches!(off, Reply::Hello { sandbox, .. } if sandbox == Default::default()));
}

#[test]
fn the_kernel_confirms_the_lock() {
    let worker = RawWorker::start(&[]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.child.id())).unwrap();
    let has = |line: &str| status.lines().any(|seen| seen == line);
    assert!(
        has("NoNewPrivs:\t1") && has("Seccomp:\t2") && has("Seccomp_filters:\t2"),
        "{status}"
    );
}

#[test]
fn files_are_out_of_reach() {
    for name in ["read-file", "write-file"] {
        let (mut worker, refused) = run(&[], name);
        assert!(
            matches!(&refused, Ok(Err(Failure::Invalid(why))) if why.starts_with("survived")),
            "{name}: {refused:?}"
        );
        let picture = worker.run(&good_job(), None).unwrap().unwrap().remove(0);
        assert_eq!(stamp(&picture).frame, 2, "the worker goes on");
    }
    let (_, free) = run(&["--sandbox", "off"], "read-file");
    assert!(
        matches!(free, Ok(Ok(_))),
        "the hook does what it says: {free:?}"
    );
}

#[test]
fn the_network_and_other_programs_end_the_process() {
    for name in ["network", "fork"] {
        assert_eq!(killed_by(&[], name), Some(SIGSYS), "{name}");
        let (_, free) = run(&["--sandbox", "off"], name);
        assert!(
            matches!(free, Ok(Ok(_))),
            "the hook does what it says: {name} {free:?}"
        );
    }
}

#[test]
fn memory_beyond_the_limit_ends_the_process() {
    assert_eq!(killed_by(&[], "allocate"), Some(SIGABRT));
    assert_eq!(killed_by(&["--sandbox", "off"], "allocate"), Some(SIGABRT));
    let (_, free) = run(&["--memory-mib", "16384"], "allocate");
    assert!(matches!(free, Ok(Ok(_))), "{free:?}");
}

#[test]
fn an_abort_leaves_by_its_own_signal() {
    assert_eq!(killed_by(&[], "abort"), Some(SIGABRT));
}

#[test]
fn hooks_do_nothing_in_a_worker_that_was_not_started_for_them() {
    let mut worker = RawWorker::start(&[]);
    let refused = worker.run(&hook("abort"), None).unwrap();
    assert!(matches!(refused, Err(Failure::Bitstream(_))), "{refused:?}");
    assert!(worker.run(&good_job(), None).unwrap().is_ok());
}

#[test]
fn hardware_that_is_not_there_is_told_and_replaced_by_software() {
    for args in [
        &["--hwaccel", "vaapi", "--hw-device", "/nonexistent"][..],
        &["--hwaccel", "cuda", "--hw-device", "77"],
    ] {
        let mut worker = RawWorker::start(args);
        let Reply::Hello {
            hardware, sandbox, ..
        } = worker.hello.clone()
        else {
            panic!("no hello");
        };
        assert!(
            matches!(&hardware, Hardware::Unavailable(why) if why.starts_with(args[1])),
            "{hardware:?}"
        );
        assert!(sandbox.has_seccomp, "the narrow cage");
        let picture = worker.run(&good_job(), None).unwrap().unwrap().remove(0);
        assert_eq!(stamp(&picture).frame, 2);
    }
}

#[test]
fn options_that_mean_nothing_are_named() {
    let ran = Command::new(program())
        .args(["--sandbox", "perhaps"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!ran.status.success());
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        text.contains("perhaps is none of auto, require, off"),
        "{text}"
    );
}
