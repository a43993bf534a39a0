//! The worker as a process: start, limits, end.

use crate::common::{config, until, within};
use crate::raw::RawWorker;
use framewell_decode::protocol::wire::{Reply, VERSION};
use framewell_decode::{Error, Pool, PoolConfig};
use rustix::process::{Pid, test_kill_process};

#[tokio::test]
async fn a_program_that_is_missing_fails_the_start() {
    let result = Pool::start(PoolConfig::new("/nonexistent/decoder".into()));
    assert!(matches!(result, Err(Error::Start { .. })), "{result:?}");
}

#[tokio::test]
async fn a_program_that_is_no_decoder_fails_each_job_at_once() {
    let pool = Pool::start(PoolConfig {
        workers: 2,
        ..PoolConfig::new("/bin/true".into())
    })
    .unwrap();
    let spec = framewell_testkit::encode::ClipSpec::default();
    let clip = spec.encode().unwrap();
    for _ in 0..3 {
        let units: Vec<_> = clip.video().take(1).cloned().collect();
        let job = crate::common::job(&clip, &units, &[0]);
        let result = within(pool.decode(job)).await;
        assert!(matches!(result, Err(Error::Start { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn all_workers_start_by_themselves_and_end_with_the_last_handle() {
    let pool = Pool::start(PoolConfig {
        workers: 3,
        ..config()
    })
    .unwrap();
    let second = pool.clone();
    drop(pool);
    until(|| second.workers().iter().all(|worker| worker.pid.is_some())).await;
    let pids: Vec<Pid> = second
        .workers()
        .iter()
        .map(|worker| Pid::from_raw(worker.pid.unwrap().try_into().unwrap()).unwrap())
        .collect();
    drop(second);
    until(|| pids.iter().all(|pid| test_kill_process(*pid).is_err())).await;
}

#[tokio::test]
async fn a_worker_has_limits_and_no_environment() {
    let pool = Pool::start(config()).unwrap();
    until(|| pool.workers()[0].pid.is_some()).await;
    let pid = pool.workers()[0].pid.unwrap();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let limits = read("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line.trim_start_matches(name)
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(limit("Max address space"), "2147483648");
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(read("environ"), "");
}

#[test]
fn a_worker_says_hello_and_leaves_when_the_socket_closes() {
    let mut worker = RawWorker::start(&[]);
    let hello = &worker.hello;
    assert!(
        matches!(hello, Reply::Hello { version: VERSION, libraries, .. } if libraries.contains("libavcodec")),
        "{hello:?}"
    );
    worker.hang_up();
    assert!(worker.child.wait().unwrap().success());
}
