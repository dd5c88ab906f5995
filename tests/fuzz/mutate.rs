//! Changes of valid input that lead to its edges: bits, bytes, lengths, words, and pieces of other inputs.

/// Inputs do not grow beyond this.
const LONGEST: usize = 2048;

/// Makes one input after the other; the same ones from the same seed.
pub struct Mutator {
    state: u64,
    corpus: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// From these inputs and words; `corpus` must not be empty.
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>, words: Vec<Vec<u8>>) -> Self {
        assert!(!corpus.is_empty());
        Self { state: seed | 1, corpus, words }
    }

    /// One of the inputs with some changes.
    pub fn next(&mut self) -> Vec<u8> {
        let at = self.below(self.corpus.len());
        let mut input = self.corpus[at].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    /// A number below `bound`; 0 for 0. The generator is xorshift64*.
    pub fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        match self.below(9) {
            0 => {
                let bit = 1 << self.below(8);
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
            }
            1 => {
                let byte = self.byte();
                input.insert(at, byte);
            }
            2 => {
                let byte = self.byte();
                input.iter_mut().skip(at).take(1).for_each(|old| *old = byte);
            }
            3 => drop(input.drain(at..self.end(at, input.len()))),
            4 => {
                let piece = input[at..self.end(at, input.len())].to_vec();
                put(input, at, &piece);
            }
            5 => self.number(input, at),
            6 | 7 if !self.words.is_empty() => {
                let word = self.below(self.words.len());
                put(input, at, &self.words[word].clone());
            }
            _ => self.splice(input, at),
        }
    }

    /// Where a piece that starts at `at` may end: often soon.
    fn end(&mut self, at: usize, length: usize) -> usize {
        let longest = if self.below(2) == 0 { 4 } else { length };
        at + self.below((length - at).min(longest) + 1)
    }

    /// A number of four bytes, as lengths are, at its limits.
    fn number(&mut self, input: &mut [u8], at: usize) {
        const EDGES: [u32; 9] = [0, 3, 4, 5, 0xffff, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, u32::MAX];
        let edge = EDGES[self.below(EDGES.len())].to_be_bytes();
        input.iter_mut().skip(at).zip(edge).for_each(|(old, new)| *old = new);
    }

    /// The front of this input, and the back of another.
    fn splice(&mut self, input: &mut Vec<u8>, at: usize) {
        let other = self.below(self.corpus.len());
        let from = self.below(self.corpus[other].len() + 1);
        input.truncate(at);
        input.extend_from_slice(&self.corpus[other][from..]);
    }
}

fn put(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}

/// The words of a libFuzzer dictionary: one in quotes on each line, bytes as `\x00`.
pub fn dictionary(text: &str) -> Vec<Vec<u8>> {
    let quoted = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = vec![];
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        let (digits, tail) = after.split_at_checked(2).unwrap_or((after, ""));
        bytes.extend(u8::from_str_radix(digits, 16));
        rest = tail;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn dictionaries_are_read() {
    let words = dictionary("# a comment\n\"a\\x00b\"\n\"select \"\nbare\n");
    assert_eq!(words, [b"a\0b".to_vec(), b"select ".to_vec()]);
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed, vec![b"hello".to_vec(), b"".to_vec()], vec![b"word".to_vec()]);
        (0..100).map(|_| mutator.next()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(7), inputs(7));
    assert_ne!(inputs(7), inputs(8));
}
