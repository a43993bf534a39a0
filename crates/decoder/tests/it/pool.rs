//! Sessions and classes of jobs over the pool.

use crate::common::{config, job, poll_once, pool, ready_pid, signal, stamp, until, within};
use framewell_decode::{Entry, Error, Exit, Job, Pool, PoolConfig, Priority, Session};
use framewell_media::AccessUnit;
use framewell_testkit::encode::{ClipSpec, EncodedClip};
use rustix::process::{Pid, Signal};
use tokio::task::JoinSet;

/// Two GOPs of 12 pictures.
fn clip(b_frames: u32) -> (EncodedClip, Vec<AccessUnit>) {
    let spec = ClipSpec {
        width: 320,
        height: 240,
        gop: 12,
        b_frames,
        frames: 24,
        ..ClipSpec::default()
    };
    let clip = spec.encode().unwrap();
    let units = clip.video().cloned().collect();
    (clip, units)
}

/// A session that is fed one picture a job.
struct Fed {
    session: Session,
    clip: EncodedClip,
    units: Vec<AccessUnit>,
}

impl Fed {
    fn open(pool: &Pool) -> Self {
        let (clip, units) = clip(0);
        Self {
            session: pool.open_session(),
            clip,
            units,
        }
    }

    /// Feeds this picture and wants it.
    async fn feed(&mut self, index: usize, entry: Entry) -> Result<(), Error> {
        let unit = &self.units[index];
        let job = job(&self.clip, std::slice::from_ref(unit), &[unit.pts.ticks]);
        let pictures = within(self.session.decode(job, entry, Exit::Keep)).await?;
        assert_eq!(stamp(&pictures[0]).capture, unit.wall);
        Ok(())
    }
}

async fn all_ready(pool: &Pool) {
    until(|| pool.ready() == pool.workers().len()).await;
}

fn pid(pool: &Pool, worker: usize) -> Pid {
    let pid = pool.workers()[worker].pid.unwrap();
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

#[tokio::test]
async fn a_session_goes_on_where_it_was() {
    let pool = pool();
    let (clip, units) = clip(2);
    let mut session = pool.open_session();
    let mut seen = Vec::new();
    for (index, unit) in units.iter().enumerate() {
        let mut job = job(&clip, std::slice::from_ref(unit), &[unit.pts.ticks]);
        job.wanted[0].tag = index as u64;
        let entry = if index == 0 {
            Entry::Key
        } else {
            Entry::Continue
        };
        let is_last = index + 1 == units.len();
        let exit = if is_last { Exit::Drain } else { Exit::Keep };
        seen.extend(within(session.decode(job, entry, exit)).await.unwrap());
    }
    assert_eq!(seen.len(), units.len());
    for picture in &seen {
        let unit = &units[usize::try_from(picture.tag).unwrap()];
        assert_eq!(stamp(picture).capture, unit.wall);
    }
    let next = job(&clip, &[], &[]);
    let drained = session.decode(next, Entry::Continue, Exit::Keep).await;
    assert!(matches!(drained, Err(Error::PositionLost)), "{drained:?}");
}

#[tokio::test]
async fn a_lost_worker_costs_its_sessions_their_position_and_no_others() {
    let pool = Pool::start(PoolConfig {
        workers: 2,
        ..config()
    })
    .unwrap();
    all_ready(&pool).await;
    let (mut first, mut second) = (Fed::open(&pool), Fed::open(&pool));
    first.feed(0, Entry::Key).await.unwrap();
    second.feed(0, Entry::Key).await.unwrap();
    let sessions = || -> Vec<usize> { pool.workers().iter().map(|w| w.sessions).collect() };
    assert_eq!(sessions(), [1, 1]);
    signal(pid(&pool, 0), Signal::KILL);
    until(|| pool.workers()[0].restarts == 1).await;
    let lost = first.feed(1, Entry::Continue).await;
    assert!(matches!(lost, Err(Error::PositionLost)), "{lost:?}");
    second.feed(1, Entry::Continue).await.unwrap();
    first.feed(12, Entry::Key).await.unwrap();
    first.feed(13, Entry::Continue).await.unwrap();
    second.feed(2, Entry::Continue).await.unwrap();
    drop((first, second));
    assert_eq!(sessions(), [0, 0]);
}

#[tokio::test]
async fn a_session_whose_job_was_given_up_starts_again_at_a_key_frame() {
    let pool = pool();
    let mut fed = Fed::open(&pool);
    fed.feed(0, Entry::Key).await.unwrap();
    let pid = ready_pid(&pool).await;
    signal(pid, Signal::STOP);
    {
        let mut job = std::pin::pin!(fed.feed(1, Entry::Continue));
        assert!(poll_once(job.as_mut()).await.is_none());
        until(|| pool.workers()[0].is_busy).await;
    }
    signal(pid, Signal::CONT);
    let lost = fed.feed(2, Entry::Continue).await;
    assert!(matches!(lost, Err(Error::PositionLost)), "{lost:?}");
    fed.feed(12, Entry::Key).await.unwrap();
    fed.feed(13, Entry::Continue).await.unwrap();
    assert_eq!(ready_pid(&pool).await, pid, "the worker is the same");
}

#[tokio::test]
async fn a_session_must_start_with_a_key_frame() {
    let pool = pool();
    let mut fed = Fed::open(&pool);
    let lost = fed.feed(1, Entry::Continue).await;
    assert!(matches!(lost, Err(Error::PositionLost)), "{lost:?}");
    let nothing = job(&fed.clip, &[], &[]);
    let refused = fed.session.decode(nothing, Entry::Key, Exit::Keep).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(pool.workers()[0].jobs, 0);
}

#[tokio::test]
async fn a_session_survives_the_replacement_of_old_workers() {
    let pool = Pool::start(PoolConfig {
        max_jobs: 3,
        ..config()
    })
    .unwrap();
    let mut fed = Fed::open(&pool);
    let mut lost = 0;
    let mut entry = Entry::Key;
    for index in (0..24).cycle().take(48) {
        if index % 12 == 0 {
            entry = Entry::Key;
        }
        match fed.feed(index, entry).await {
            Ok(()) => entry = Entry::Continue,
            // What a caller does: it waits for the next key frame.
            Err(Error::PositionLost) => lost += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!((1..40).contains(&lost), "{lost}");
    assert!(pool.workers()[0].restarts >= 3);
}

fn of_class(priority: Priority) -> Job {
    let (clip, units) = clip(0);
    Job {
        priority,
        ..job(&clip, &units[..6], &[units[5].pts.ticks])
    }
}

#[tokio::test]
async fn a_batch_leaves_half_of_the_queue_and_single_pictures_go_first() {
    let pool = Pool::start(PoolConfig {
        queue: 4,
        ..config()
    })
    .unwrap();
    let pid = ready_pid(&pool).await;
    signal(pid, Signal::STOP);
    let mut callers = JoinSet::new();
    let mut spawn = |priority: Priority| {
        let pool = pool.clone();
        callers.spawn(async move { (priority, pool.decode(of_class(priority)).await) });
    };
    (0..5).for_each(|_| spawn(Priority::Batch));
    until(|| pool.workers()[0].is_busy && pool.waiting(Priority::Batch) == 2).await;
    (0..2).for_each(|_| spawn(Priority::Interactive));
    until(|| pool.waiting(Priority::Interactive) == 2).await;
    assert_eq!(pool.waiting(Priority::Batch), 2, "the others wait outside");
    let refused = within(pool.decode(of_class(Priority::Interactive))).await;
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    signal(pid, Signal::CONT);
    let mut order = Vec::new();
    while let Some(ended) = within(callers.join_next()).await {
        let (priority, result) = ended.unwrap();
        assert!(result.is_ok(), "{result:?}");
        order.push(priority);
    }
    let expected = [
        Priority::Batch,
        Priority::Interactive,
        Priority::Interactive,
    ];
    assert_eq!(order[..3], expected);
    assert_eq!(order.len(), 7);
}

#[tokio::test]
async fn callers_that_went_away_hold_no_place() {
    let pool = Pool::start(PoolConfig {
        queue: 1,
        ..config()
    })
    .unwrap();
    let pid = ready_pid(&pool).await;
    signal(pid, Signal::STOP);
    let mut running = Box::pin(pool.decode(of_class(Priority::Interactive)));
    assert!(poll_once(running.as_mut()).await.is_none());
    until(|| pool.workers()[0].is_busy).await;
    let mut waiting = Box::pin(pool.decode(of_class(Priority::Interactive)));
    assert!(poll_once(waiting.as_mut()).await.is_none());
    drop(waiting);
    let mut next = Box::pin(pool.decode(of_class(Priority::Interactive)));
    assert!(poll_once(next.as_mut()).await.is_none(), "there is a place");
    signal(pid, Signal::CONT);
    assert!(within(running).await.is_ok());
    assert!(within(next).await.is_ok());
}
