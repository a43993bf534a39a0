//! Which cells of a picture move: brightness against a background that learns slowly. No I/O.

use framewell_model::{CellMap, MOTION_CELLS, MOTION_COLUMNS, MOTION_ROWS};

/// Pixels of a cell, each way.
const CELL: usize = 8;
/// Width of the pictures that a detector looks at.
pub(crate) const WIDTH: usize = MOTION_COLUMNS * CELL;
/// Their height.
pub(crate) const HEIGHT: usize = MOTION_ROWS * CELL;
const PIXELS: usize = WIDTH * HEIGHT;

/// A pixel differs by more than coding and sensors make of a still scene.
const DIFFERENCE: f32 = 18.0;
/// So many pixels of a cell (of 64) must differ.
const PIXELS_OF_CELL: u32 = 10;
/// More moving cells than this are no motion: light was switched, or the camera turned.
const SCENE: u32 = 432 * 6 / 10;
/// How much of a still cell's difference the background takes over with each picture.
const LEARN: f32 = 0.2;
/// The same where something moves: what stays for a minute or so becomes background.
const LEARN_MOVING: f32 = 0.04;

/// What a picture shows against those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The first picture, or another scene: there is nothing to compare with.
    NewScene,
    /// The cells that move.
    Cells(CellMap),
}

/// Looks at the pictures of one channel.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    /// Brightness; empty before the first picture.
    background: Vec<f32>,
}

impl Detector {
    /// Compares a picture, `WIDTH` x `HEIGHT` values of brightness, with the background. One of another
    /// size begins a new scene.
    pub(crate) fn look(&mut self, luma: &[u8]) -> Seen {
        if self.background.len() != PIXELS || luma.len() != PIXELS {
            self.background = luma.iter().map(|value| f32::from(*value)).collect();
            return Seen::NewScene;
        }
        let shift = self.shift(luma);
        let moving = self.moving(luma, shift);
        if moving.count() > SCENE {
            self.background = luma.iter().map(|value| f32::from(*value)).collect();
            return Seen::NewScene;
        }
        self.learn(luma, &moving);
        Seen::Cells(moving)
    }

    /// By how much the picture as a whole is brighter: clouds, and the camera's own exposure. The median,
    /// so that what moves has no say.
    fn shift(&self, luma: &[u8]) -> f32 {
        let mut differences: Vec<f32> = luma
            .iter()
            .zip(&self.background)
            .step_by(7)
            .map(|(value, background)| f32::from(*value) - background)
            .collect();
        let middle = differences.len() / 2;
        let (_, median, _) = differences.select_nth_unstable_by(middle, f32::total_cmp);
        *median
    }

    fn moving(&self, luma: &[u8], shift: f32) -> CellMap {
        let mut map = CellMap::EMPTY;
        for cell in 0..MOTION_CELLS {
            let different = rows_of(cell).flatten().filter(|at| {
                let difference = f32::from(luma[*at]) - self.background[*at] - shift;
                difference.abs() > DIFFERENCE
            });
            if different.take(10).count() >= PIXELS_OF_CELL as usize {
                map.insert(cell);
            }
        }
        map
    }

    fn learn(&mut self, luma: &[u8], moving: &CellMap) {
        for cell in 0..MOTION_CELLS {
            let rate = if moving.contains(cell) {
                LEARN_MOVING
            } else {
                LEARN
            };
            for at in rows_of(cell).flatten() {
                let background = &mut self.background[at];
                *background += rate * (f32::from(luma[at]) - *background);
            }
        }
    }
}

/// The pixels of a cell, as ranges of the picture.
fn rows_of(cell: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (column, row) = (cell % MOTION_COLUMNS, cell / MOTION_COLUMNS);
    (0..CELL).map(move |line| {
        let start = (row * CELL + line) * WIDTH + column * CELL;
        start..start + CELL
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A still scene with noise of the sensor.
    fn scene(seed: u32, brighter: i32) -> Vec<u8> {
        let mut noise = seed;
        (0..PIXELS)
            .map(|at| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let texture = i32::try_from(at * 7 % 90).unwrap() + 60;
                let noise = i32::try_from(noise >> 29).unwrap() - 4;
                u8::try_from((texture + noise + brighter).clamp(0, 255)).unwrap()
            })
            .collect()
    }

    /// With a bright thing of so many cells each way, its upper left corner in this cell.
    fn with_thing(mut luma: Vec<u8>, column: usize, row: usize, cells: usize) -> Vec<u8> {
        for y in row * CELL..(row + cells) * CELL {
            for x in column * CELL..(column + cells) * CELL {
                luma[y * WIDTH + x] = 250;
            }
        }
        luma
    }

    fn learnt() -> Detector {
        let mut detector = Detector::default();
        for seed in 0..5 {
            detector.look(&scene(seed, 0));
        }
        detector
    }

    fn cells(seen: Seen) -> CellMap {
        match seen {
            Seen::Cells(map) => map,
            Seen::NewScene => panic!("a new scene"),
        }
    }

    #[test]
    fn a_still_scene_with_noise_does_not_move() {
        let mut detector = Detector::default();
        assert_eq!(detector.look(&scene(0, 0)), Seen::NewScene);
        for seed in 1..200 {
            assert_eq!(cells(detector.look(&scene(seed, 0))).count(), 0, "{seed}");
        }
    }

    #[test]
    fn a_thing_moves_in_exactly_the_cells_that_it_covers() {
        let mut detector = learnt();
        let seen = cells(detector.look(&with_thing(scene(9, 0), 10, 5, 3)));
        assert_eq!(seen.count(), 9);
        for (column, row) in [(10, 5), (12, 7)] {
            assert!(seen.contains(row * MOTION_COLUMNS + column));
        }
        let gone = cells(detector.look(&scene(10, 0)));
        assert_eq!(gone.count(), 0, "the background has not learnt it");
    }

    #[test]
    fn clouds_do_not_move_and_what_moves_under_them_does() {
        let mut detector = learnt();
        for (seed, brighter) in [(20, 25), (21, -20), (22, 30)] {
            let seen = cells(detector.look(&scene(seed, brighter)));
            assert_eq!(seen.count(), 0, "{brighter} brighter");
        }
        let seen = cells(detector.look(&with_thing(scene(23, -25), 0, 0, 2)));
        assert_eq!(seen.count(), 4);
    }

    #[test]
    fn another_scene_is_no_motion() {
        let mut detector = learnt();
        let turned: Vec<u8> = scene(1, 0).into_iter().rev().map(|v| 255 - v).collect();
        assert_eq!(detector.look(&turned), Seen::NewScene);
        assert_eq!(cells(detector.look(&turned)).count(), 0);
        assert_eq!(detector.look(&[0; 12]), Seen::NewScene);
        assert_eq!(detector.look(&turned), Seen::NewScene);
    }

    #[test]
    fn what_is_parked_becomes_background() {
        let mut detector = learnt();
        let parked = |seed| with_thing(scene(seed, 0), 4, 4, 3);
        assert_eq!(cells(detector.look(&parked(0))).count(), 9);
        let pictures = (1..200).take_while(|seed| cells(detector.look(&parked(*seed))).count() > 0);
        let pictures = pictures.count();
        assert!((20..120).contains(&pictures), "{pictures}");
    }
}
