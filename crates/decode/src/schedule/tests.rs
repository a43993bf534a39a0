use super::*;
use Priority::{Batch, Interactive};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named(u32);

impl Load for Named {
    fn is_wanted(&self) -> bool {
        self.0 != UNWANTED
    }
}

const UNWANTED: u32 = 999;

fn up(lanes: usize) -> Schedule<Named> {
    let mut schedule = Schedule::new(lanes);
    (0..lanes).for_each(|lane| schedule.up(lane, Some(1)));
    schedule
}

fn push(schedule: &mut Schedule<Named>, name: u32, class: Priority) {
    schedule.push(Named(name), class, None).unwrap();
}

fn part(key: SessionKey, entry: Entry) -> Use {
    Use {
        key,
        entry,
        exit: Exit::Keep,
    }
}

fn push_in(
    schedule: &mut Schedule<Named>,
    name: u32,
    key: SessionKey,
    entry: Entry,
) -> Result<(), Named> {
    schedule.push(Named(name), Interactive, Some(part(key, entry)))
}

fn rung(schedule: &mut Schedule<Named>) -> Vec<usize> {
    let mut rung = Vec::new();
    schedule.dispatch(|lane| rung.push(lane));
    rung
}

/// The next job of a lane, with the id of the decoder that it uses.
fn run(schedule: &mut Schedule<Named>, lane: usize) -> Option<(u32, Option<u64>)> {
    match schedule.take(lane)? {
        Task::Run(job, session) => Some((job.0, session.map(|used| used.id))),
        Task::Close(id) => panic!("closes {id}"),
    }
}

fn names(schedule: &mut Schedule<Named>, lane: usize) -> Vec<u32> {
    std::iter::from_fn(|| run(schedule, lane))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn single_pictures_go_first_and_a_batch_never_stands_still() {
    let mut schedule = up(1);
    (0..4).for_each(|job| push(&mut schedule, 100 + job, Batch));
    (0..20).for_each(|job| push(&mut schedule, job, Interactive));
    let order = names(&mut schedule, 0);
    let single: Vec<u32> = order.iter().copied().filter(|job| *job < 100).collect();
    assert_eq!(single, (0..20).collect::<Vec<_>>(), "in order");
    let places: Vec<usize> = (100..104)
        .map(|job| order.iter().position(|other| *other == job).unwrap())
        .collect();
    assert_eq!(places, [7, 15, 22, 23]);
}

#[test]
fn the_oldest_of_own_and_shared_jobs_goes_first() {
    let mut schedule = up(1);
    let key = schedule.open();
    push(&mut schedule, 1, Interactive);
    push_in(&mut schedule, 2, key, Entry::Key).unwrap();
    push(&mut schedule, 3, Interactive);
    assert_eq!(names(&mut schedule, 0), [1, 2, 3]);
}

#[test]
fn shared_jobs_ring_as_many_idle_lanes_as_there_are_jobs_and_those_with_few_sessions_first() {
    let mut schedule = up(3);
    let key = schedule.open();
    push_in(&mut schedule, 1, key, Entry::Key).unwrap();
    assert_eq!(rung(&mut schedule), [0]);
    assert_eq!(names(&mut schedule, 0), [1]);
    push(&mut schedule, 2, Interactive);
    assert_eq!(rung(&mut schedule), [1]);
    push(&mut schedule, 3, Interactive);
    assert_eq!(rung(&mut schedule), [2]);
    push(&mut schedule, 4, Interactive);
    assert_eq!(rung(&mut schedule), [0]);
    push(&mut schedule, 5, Interactive);
    assert_eq!(rung(&mut schedule), [] as [usize; 0], "nobody is left");
}

#[test]
fn a_lane_that_was_rung_and_dies_leaves_the_job_to_another() {
    let mut schedule = up(2);
    push(&mut schedule, 1, Interactive);
    assert_eq!(rung(&mut schedule), [0]);
    assert_eq!(schedule.down(0), []);
    assert_eq!(rung(&mut schedule), [1]);
    assert_eq!(names(&mut schedule, 1), [1]);
}

#[test]
fn sessions_spread_over_the_lanes_and_stay_where_they_are() {
    let mut schedule = up(2);
    let keys = [(); 4].map(|()| schedule.open());
    for (name, key) in (0..).zip(keys) {
        push_in(&mut schedule, name, key, Entry::Key).unwrap();
    }
    assert_eq!(names(&mut schedule, 0), [0, 2]);
    assert_eq!(names(&mut schedule, 1), [1, 3]);
    let sessions = |schedule: &Schedule<Named>| -> Vec<usize> {
        schedule.status().iter().map(|lane| lane.sessions).collect()
    };
    assert_eq!(sessions(&schedule), [2, 2]);
    push_in(&mut schedule, 7, keys[3], Entry::Continue).unwrap();
    push_in(&mut schedule, 8, keys[3], Entry::Continue).unwrap();
    assert_eq!(run(&mut schedule, 0), None);
    assert_eq!(names(&mut schedule, 1), [7, 8]);
    schedule.close(keys[0]);
    assert_eq!(sessions(&schedule), [1, 2]);
}

#[test]
fn a_busy_lane_keeps_the_jobs_of_its_sessions_and_no_others() {
    let mut schedule = up(2);
    let keys = [(); 2].map(|()| schedule.open());
    push_in(&mut schedule, 1, keys[0], Entry::Key).unwrap();
    push_in(&mut schedule, 2, keys[1], Entry::Key).unwrap();
    assert_eq!(run(&mut schedule, 0).unwrap().0, 1);
    push_in(&mut schedule, 3, keys[0], Entry::Continue).unwrap();
    assert_eq!(names(&mut schedule, 1), [2]);
    push(&mut schedule, 4, Interactive);
    push_in(&mut schedule, 5, keys[1], Entry::Continue).unwrap();
    assert_eq!(rung(&mut schedule), [1]);
    assert_eq!(names(&mut schedule, 1), [4, 5]);
    assert_eq!(names(&mut schedule, 0), [3]);
}

#[test]
fn a_session_that_starts_anew_leaves_a_busy_lane_for_an_idle_one() {
    let mut schedule = up(2);
    let key = schedule.open();
    push_in(&mut schedule, 1, key, Entry::Key).unwrap();
    let (_, old) = run(&mut schedule, 0).unwrap();
    assert_eq!(run(&mut schedule, 1), None);
    push_in(&mut schedule, 2, key, Entry::Key).unwrap();
    let (_, new) = run(&mut schedule, 1).unwrap();
    assert_ne!(old, new);
    assert_eq!(schedule.take(0), Some(Task::Close(old.unwrap())));
    assert_eq!(schedule.take(0), None);
}

#[test]
fn a_closed_session_frees_its_decoder_if_it_had_one() {
    let mut schedule = up(1);
    let [used, unused] = [(); 2].map(|()| schedule.open());
    push_in(&mut schedule, 1, used, Entry::Key).unwrap();
    let (_, id) = run(&mut schedule, 0).unwrap();
    assert_eq!(run(&mut schedule, 0), None);
    push_in(&mut schedule, UNWANTED, unused, Entry::Key).unwrap();
    schedule.close(unused);
    schedule.close(used);
    assert_eq!(rung(&mut schedule), [0]);
    assert_eq!(schedule.take(0), Some(Task::Close(id.unwrap())));
    assert_eq!(schedule.take(0), None);
    assert_eq!(schedule.status()[0].jobs, 1);
}

#[test]
fn a_lost_worker_costs_positions_and_no_jobs_that_start_at_a_key_frame() {
    let mut schedule = up(2);
    let [going_on, anew, idle] = [(); 3].map(|()| schedule.open());
    push_in(&mut schedule, 1, going_on, Entry::Key).unwrap();
    assert_eq!(names(&mut schedule, 0), [1]);
    schedule.retire(1);
    push_in(&mut schedule, 2, idle, Entry::Key).unwrap();
    assert_eq!(run(&mut schedule, 0).unwrap().0, 2);
    push_in(&mut schedule, 3, going_on, Entry::Continue).unwrap();
    push_in(&mut schedule, 4, anew, Entry::Key).unwrap();
    assert_eq!(schedule.down(0), [Named(3)]);
    assert_eq!(names(&mut schedule, 1), [4], "moved");
    let lost = push_in(&mut schedule, 5, idle, Entry::Continue);
    assert_eq!(lost, Err(Named(5)), "its position is lost too");
    let status = schedule.status();
    assert_eq!((status[0].restarts, status[0].sessions), (1, 0));
    assert_eq!(schedule.ready(), 1);
}

#[test]
fn jobs_of_sessions_wait_for_the_first_worker_that_is_ready() {
    let mut schedule = Schedule::new(2);
    let keys = [(); 2].map(|()| schedule.open());
    push_in(&mut schedule, 1, keys[0], Entry::Key).unwrap();
    push_in(&mut schedule, 2, keys[1], Entry::Key).unwrap();
    assert_eq!(rung(&mut schedule), [] as [usize; 0]);
    schedule.up(1, Some(1));
    assert_eq!(names(&mut schedule, 1), [1, 2]);
}

#[test]
fn a_retiring_lane_goes_when_its_sessions_have_left() {
    let mut schedule = up(2);
    let key = schedule.open();
    push_in(&mut schedule, 1, key, Entry::Key).unwrap();
    assert_eq!(names(&mut schedule, 0), [1]);
    assert!(!schedule.retire(0));
    push_in(&mut schedule, 2, key, Entry::Continue).unwrap();
    assert_eq!(names(&mut schedule, 0), [2]);
    assert!(!schedule.retire(0));
    push_in(&mut schedule, 3, key, Entry::Key).unwrap();
    assert_eq!(names(&mut schedule, 1), [3]);
    assert!(schedule.retire(0));
}

#[test]
fn jobs_are_refused_only_while_no_worker_is_there() {
    let mut schedule = Schedule::new(2);
    schedule.refuse(1);
    push(&mut schedule, 1, Batch);
    assert_eq!(rung(&mut schedule), [1]);
    assert_eq!(schedule.take_refused(), Some(Named(1)));
    schedule.up(0, Some(1));
    push(&mut schedule, 2, Interactive);
    assert_eq!(schedule.take_refused(), None);
    assert_eq!(rung(&mut schedule), [0]);
}

#[test]
fn jobs_that_nobody_wants_are_dropped() {
    let mut schedule = up(1);
    push(&mut schedule, UNWANTED, Interactive);
    push(&mut schedule, 1, Batch);
    push(&mut schedule, UNWANTED, Batch);
    assert_eq!(schedule.waiting(Batch), 2);
    schedule.purge();
    assert_eq!(
        (schedule.waiting(Batch), schedule.waiting(Interactive)),
        (1, 0)
    );
    push(&mut schedule, UNWANTED, Interactive);
    assert_eq!(names(&mut schedule, 0), [1]);
}
