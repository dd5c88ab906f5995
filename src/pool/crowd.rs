//! When reads share servers under `share_servers = "auto"`: where servers wait for each other ([`Crowd`]), and it pays ([`Trial`]).

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How many servers of a pool are to be at work before reads share them.
///
/// Servers of a machine with room for them take as long for a statement as one alone; where they wait for each other, one more
/// makes nothing faster. So it goes by how many times its best time a statement takes.
#[derive(Debug)]
pub(super) struct Crowd {
    wanted: Cell<f32>,
    turn: Cell<u32>,
}

impl Default for Crowd {
    fn default() -> Crowd {
        Crowd { wanted: Cell::new(f32::MAX), turn: Cell::new(0) }
    }
}

impl Crowd {
    /// Up to so many times its best, a statement has not waited for others.
    const ROOMY: f32 = 1.5;
    /// From so many times on, it has.
    const TIGHT: f32 = 2.0;
    /// How far one statement moves it, in servers.
    const STEP: f32 = 0.125;
    /// One of so many reads that could follow gets a server of its own all the same: to see whether there is room again.
    const APART: u32 = 64;

    /// A statement that had a server for itself took so many times its best time, while so many servers were at work, of as many as
    /// there may be.
    pub fn observe(&self, stretch: f32, at_work: usize, most: usize) {
        let wanted = self.wanted.get().min(most as f32);
        // What happens with fewer at work says nothing of more.
        let next = if stretch >= Crowd::TIGHT {
            wanted.min(at_work as f32 + 1.0) - Crowd::STEP
        } else if stretch <= Crowd::ROOMY {
            wanted + Crowd::STEP
        } else {
            wanted
        };
        self.wanted.set(next.clamp(1.0, most as f32));
    }

    pub fn takes_turn(&self) -> u32 {
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        turn
    }

    pub fn is_enough(&self, at_work: usize) -> bool {
        let turn = self.takes_turn();
        at_work as f32 >= self.wanted.get() && !turn.is_multiple_of(Crowd::APART)
    }
}

/// How a read is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// By simple query.
    Simple,
    /// By running what is prepared.
    Prepared,
}

impl Asked {
    /// Both.
    pub const ALL: [Asked; 2] = [Asked::Simple, Asked::Prepared];

    /// With the statement that the server must have, if any.
    pub fn with<T>(statement: Option<T>) -> Asked {
        statement.map_or(Asked::Simple, |_| Asked::Prepared)
    }
}

/// Whether sharing servers pays on this machine, with what it has to do now: found out by doing both.
///
/// It saves the servers' going to sleep, and system calls where several statements or answers go together. Where each answer of a busy server
/// comes by itself, it costs more than it saves: the worker is woken for each, and would have had many at once from as many servers. Which it is
/// depends on the machine, on how long statements take, and on how many clients there are. So every few seconds a worker takes turns between the two
/// for a tenth of a second, and goes on with the better one: that which takes less of the worker's processor time and less time by the clock
/// for a statement, as a product, so that twice the statements are worth twice the processor time.
///
/// One worker's, for all its pools: they share its processor time. Simple and prepared reads are tried one after the other: servers take much longer
/// for the former, since they plan them.
#[derive(Debug)]
pub struct Trial {
    /// Whether servers are shared, by [`Asked`], but for what is being tried.
    settled: Cell<[bool; 2]>,
    /// The trial before said otherwise than what is settled.
    doubted: Cell<[bool; 2]>,
    /// What is or was tried.
    tried: Cell<usize>,
    /// Which slice of [`ORDER`] is on; none between trials.
    slice: Cell<Option<usize>>,
    /// How long it is to the next trial.
    rest: Cell<Duration>,
    begun: Cell<Mark>,
    /// Since then.
    statements: Cell<u32>,
    could: Cell<[u32; 2]>,
    sums: Cell<[Sum; 2]>,
    /// The shortest and the longest time by the clock for a statement, in the slices so far.
    paces: Cell<[f64; 2]>,
}

/// The slices of one trial: whether servers are shared. In an order in which what grows evenly meanwhile concerns both alike.
const ORDER: [bool; 8] = [false, true, true, false, false, true, true, false];

/// The clocks at some time.
#[derive(Debug, Clone, Copy)]
struct Mark {
    wall: Instant,
    cpu: Duration,
}

/// Of the slices of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    statements: f64,
    /// Those that could follow.
    could: f64,
    wall: f64,
    cpu: f64,
}

impl Mark {
    fn now() -> Mark {
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        Mark { wall: Instant::now(), cpu: Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32) }
    }
}

impl Sum {
    /// What a statement costs.
    fn price(&self) -> f64 {
        (self.cpu / self.statements) * (self.wall / self.statements)
    }
}

impl Default for Trial {
    fn default() -> Trial {
        Trial {
            settled: Cell::new([true; 2]),
            doubted: Cell::default(),
            tried: Cell::new(0),
            slice: Cell::new(None),
            rest: Cell::new(Trial::SHORT),
            begun: Cell::new(Mark::now()),
            statements: Cell::new(0),
            could: Cell::default(),
            sums: Cell::default(),
            paces: Cell::new(Trial::NO_PACES),
        }
    }
}

impl Trial {
    /// How long it is to the next trial when one was surprising. Twice as long after each that was not, up to `LONG`.
    const SHORT: Duration = Duration::from_millis(250);
    const LONG: Duration = Duration::from_secs(4);
    /// How long a slice lasts at least.
    const SLICE: Duration = Duration::from_millis(12);
    /// After so many statements it is looked at the clocks; a slice has as many at least.
    const LOOK: u32 = 64;
    /// One of so many statements of the slices that share must have been able to follow, or nothing was tried.
    const PART: f64 = 8.0;
    /// Where a statement of one slice took so many times as long as one of another, the load has changed meanwhile, or paused.
    const ALIKE: f64 = 4.0;
    const NO_PACES: [f64; 2] = [f64::INFINITY, 0.0];
    /// The other way has to cost less than this part of what the settled one costs.
    const BETTER: f64 = 0.9;

    /// Whether a read that could follow may.
    #[inline]
    pub fn shares(&self, asked: Asked) -> bool {
        let slice = self.slice.get().filter(|_| self.tried.get() == asked as usize);
        slice.map_or(self.settled.get()[asked as usize], |slice| ORDER[slice])
    }

    /// Enough servers are at work for a read to follow another.
    #[inline]
    pub fn note_candidate(&self, asked: Asked) {
        let mut could = self.could.get();
        could[asked as usize] = could[asked as usize].wrapping_add(1);
        self.could.set(could);
    }

    /// A session got a server.
    #[inline]
    pub fn note_statement(&self) {
        let statements = self.statements.get().wrapping_add(1);
        self.statements.set(statements);
        if statements.is_multiple_of(Trial::LOOK) {
            self.look(Instant::now(), Mark::now);
        }
    }

    /// Goes on to the next slice, or to the next trial, when it is time; the processor's clock is a system call.
    fn look(&self, wall: Instant, mark: impl FnOnce() -> Mark) {
        let (begun, slice) = (self.begun.get(), self.slice.get());
        if wall.saturating_duration_since(begun.wall) < slice.map_or(self.rest.get(), |_| Trial::SLICE) {
            return;
        }
        let now = mark();
        let next = match slice {
            Some(slice) => {
                let mut sums = self.sums.get();
                let sum = &mut sums[usize::from(ORDER[slice])];
                let statements = f64::from(self.statements.get());
                let wall = now.wall.saturating_duration_since(begun.wall).as_secs_f64();
                sum.statements += statements;
                sum.could += f64::from(self.could.get()[self.tried.get()]);
                sum.wall += wall;
                sum.cpu += now.cpu.saturating_sub(begun.cpu).as_secs_f64();
                self.sums.set(sums);
                let [shortest, longest] = self.paces.get();
                let pace = wall / statements;
                self.paces.set([shortest.min(pace), longest.max(pace)]);
                slice + 1
            }
            None => {
                let (other, could) = (1 - self.tried.get(), self.could.get());
                if could[other] > 0 {
                    self.tried.set(other);
                }
                0
            }
        };
        self.slice.set(Some(next).filter(|next| *next < ORDER.len()));
        if next == ORDER.len() {
            let (sums, [shortest, longest]) = (self.sums.take(), self.paces.replace(Trial::NO_PACES));
            // Else nothing is said, and it is tried again as soon as before.
            if longest <= shortest * Trial::ALIKE {
                self.settle(self.tried.get(), sums);
            }
        }
        self.statements.set(0);
        self.could.set([0; 2]);
        self.begun.set(now);
    }

    /// Twice in succession a trial has to say otherwise before it is done otherwise.
    fn settle(&self, tried: usize, [alone, shared]: [Sum; 2]) {
        let prices = [alone.price(), shared.price()];
        let (mut settled, mut doubted) = (self.settled.get(), self.doubted.get());
        let own = usize::from(settled[tried]);
        let was_tried = shared.could * Trial::PART >= shared.statements;
        if was_tried && prices[1 - own] < prices[own] * Trial::BETTER {
            settled[tried] ^= doubted[tried];
            doubted[tried] ^= true;
            self.rest.set(Trial::SHORT);
        } else {
            doubted[tried] = false;
            self.rest.set(Trial::LONG.min(self.rest.get() * 2));
        }
        self.settled.set(settled);
        self.doubted.set(doubted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many statements in a hundredth of a second, each for so many microseconds of the processor, by whether servers are shared; of
    /// which so many in a hundred could follow.
    struct Load {
        statements: [u32; 2],
        micros: [u64; 2],
        could: u32,
    }

    const DEAR: Load = Load { statements: [120, 120], micros: [22, 40], could: 90 };
    const SIMPLE: usize = Asked::Simple as usize;

    /// How much of the time servers were shared.
    fn run(trial: &Trial, load: &Load, seconds: u64, asked: Asked) -> f64 {
        let mut now = trial.begun.get();
        let (mut shared, looks) = (0.0, seconds * 100);
        for _ in 0..looks {
            let shares = trial.shares(asked);
            shared += f64::from(u8::from(shares));
            run_on(trial, load, &mut now, asked);
        }
        shared / looks as f64
    }

    /// A hundredth of a second of it.
    fn run_on(trial: &Trial, load: &Load, now: &mut Mark, asked: Asked) {
        let shares = usize::from(trial.shares(asked));
        let statements = load.statements[shares];
        now.wall += Duration::from_millis(10);
        now.cpu += Duration::from_micros(load.micros[shares] * u64::from(statements));
        trial.statements.set(trial.statements.get() + statements);
        let mut could = trial.could.get();
        could[asked as usize] += statements * load.could / 100;
        trial.could.set(could);
        trial.look(now.wall, || *now);
    }

    #[test]
    fn what_costs_less_is_done() {
        let trial = Trial::default();
        run(&trial, &DEAR, 2, Asked::Simple);
        assert!(!trial.settled.get()[SIMPLE], "sharing is dear here");
        let fast = Load { statements: [160, 250], micros: [26, 17], could: 90 };
        run(&trial, &fast, 10, Asked::Simple);
        assert!(trial.settled.get()[SIMPLE], "and here it pays");
        run(&trial, &DEAR, 10, Asked::Simple);
        assert!(!trial.settled.get()[SIMPLE]);
        // More statements for somewhat more time of the processor.
        run(&trial, &Load { statements: [100, 150], micros: [20, 24], could: 90 }, 10, Asked::Simple);
        assert!(trial.settled.get()[SIMPLE]);
    }

    #[test]
    fn what_is_alike_or_not_tried_changes_nothing() {
        let trial = Trial::default();
        run(&trial, &Load { statements: [100, 100], micros: [20, 21], could: 90 }, 10, Asked::Simple);
        assert!(trial.settled.get()[SIMPLE], "within what a trial can tell");
        run(&trial, &Load { could: 10, ..DEAR }, 10, Asked::Simple);
        assert!(trial.settled.get()[SIMPLE], "nearly nothing could follow");
        run(&trial, &DEAR, 10, Asked::Simple);
        assert!(!trial.settled.get()[SIMPLE]);
        run(&trial, &Load { statements: [100, 100], micros: [20, 20], could: 90 }, 10, Asked::Simple);
        assert!(!trial.settled.get()[SIMPLE]);
    }

    #[test]
    fn one_surprise_is_not_enough() {
        let trial = Trial::default();
        let sum = |micros: f64| Sum { statements: 100.0, could: 90.0, wall: 0.01, cpu: micros * 1e-4 };
        for (alone, shared, settled) in [
            (22.0, 40.0, true),
            (22.0, 22.0, true),
            (22.0, 40.0, true),
            (22.0, 40.0, false),
            (40.0, 22.0, false),
        ] {
            trial.settle(SIMPLE, [sum(alone), sum(shared)]);
            assert_eq!(trial.settled.get(), [settled, true]);
        }
    }

    #[test]
    fn pauses_within_a_trial_are_not_held_against_either_way() {
        let trial = Trial::default();
        run(&trial, &DEAR, 10, Asked::Simple);
        assert!(!trial.settled.get()[SIMPLE]);
        // Bursts of a tenth of a second and pauses of three, which fall into any slice.
        let mut now = trial.begun.get();
        for burst in 0..400 {
            now.wall += Duration::from_secs(3);
            for _ in 0..10 + burst % 7 {
                run_on(&trial, &DEAR, &mut now, Asked::Simple);
                assert!(!trial.settled.get()[SIMPLE], "in burst {burst}");
            }
        }
    }

    #[test]
    fn simple_and_prepared_reads_are_told_apart() {
        let trial = Trial::default();
        let pays = Load { statements: [160, 250], micros: [26, 17], could: 90 };
        for _ in 0..2 {
            run(&trial, &DEAR, 10, Asked::Simple);
            run(&trial, &pays, 10, Asked::Prepared);
            assert_eq!(trial.settled.get(), [false, true]);
        }
    }

    #[test]
    fn most_of_the_time_nothing_is_tried() {
        let trial = Trial::default();
        run(&trial, &DEAR, 10, Asked::Simple);
        let shared = run(&trial, &DEAR, 60, Asked::Simple);
        assert!(shared > 0.001 && shared < 0.025, "{shared}");
    }

    #[test]
    fn servers_that_wait_for_each_other_are_shared_and_others_not() {
        let crowd = Crowd::default();
        assert!(!crowd.is_enough(16), "nothing is known");
        (0..100).for_each(|_| crowd.observe(1.1, 16, 16));
        assert!(!crowd.is_enough(15) && crowd.is_enough(16));
        (0..200).for_each(|_| crowd.observe(4.0, 16, 16));
        assert!(crowd.is_enough(1));
        (0..200).for_each(|_| crowd.observe(1.0, 2, 16));
        assert!(!crowd.is_enough(15) && crowd.is_enough(16));
    }

    #[test]
    fn few_servers_that_wait_say_what_is_enough() {
        let crowd = Crowd::default();
        crowd.observe(3.0, 2, 64);
        assert!(!crowd.is_enough(2) && crowd.is_enough(3));
    }

    #[test]
    fn now_and_then_one_that_could_follow_does_not() {
        let crowd = Crowd::default();
        (0..200).for_each(|_| crowd.observe(4.0, 16, 16));
        let direct = (0..Crowd::APART * 10).filter(|_| !crowd.is_enough(16)).count();
        assert_eq!(direct, 10);
    }
}
