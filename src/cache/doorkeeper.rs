//! Who was here lately: answers are kept from the second time on that they are asked for, so that a scan of keys does not push out those in use.
//!
//! Two Bloom filters of constant size; when one has taken so many keys, the other is emptied and takes its place. So a
//! key is remembered for as long as between one and two such numbers of other keys come.

/// Bits of one filter.
const BITS: usize = 1 << 14;
/// Keys after which a filter is full: with two bits each, one key in twenty is then taken for one that was here.
const FULL: usize = 2048;

/// The keys of one shard.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper {
    now: Filter,
    before: Filter,
    taken: usize,
}

#[derive(Debug, Default)]
struct Filter(Box<[u64]>);

impl Filter {
    fn has(&self, bits: [usize; 2]) -> bool {
        bits.iter().all(|bit| self.0.get(bit / 64).is_some_and(|word| word & 1 << (bit % 64) != 0))
    }

    fn take(&mut self, bits: [usize; 2]) {
        if self.0.is_empty() {
            self.0 = vec![0; BITS / 64].into();
        }
        bits.iter().for_each(|bit| self.0[bit / 64] |= 1 << (bit % 64));
    }
}

impl Doorkeeper {
    /// Whether a key with this hash was here before; from now on it was.
    pub fn knows(&mut self, hash: u128) -> bool {
        // The low half chooses the shard and the place in it.
        let bits = [(hash >> 64) as usize % BITS, (hash >> 96) as usize % BITS];
        if self.now.has(bits) {
            return true;
        }
        let known = self.before.has(bits);
        if self.taken >= FULL {
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.0.fill(0);
            self.taken = 0;
        }
        self.now.take(bits);
        self.taken += 1;
        known
    }

    /// Bytes that it takes beside its own size.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.now.0) + size_of_val(&*self.before.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An arbitrary hash, well spread.
    fn hash(n: u64) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes())
    }

    #[test]
    fn the_second_time_is_known() {
        let mut door = Doorkeeper::default();
        assert_eq!(door.bytes(), 0);
        assert!(!door.knows(hash(1)));
        assert!(door.knows(hash(1)));
        assert!(!door.knows(hash(2)));
    }

    #[test]
    fn keys_are_forgotten_and_few_are_mistaken() {
        let mut door = Doorkeeper::default();
        door.knows(hash(0));
        let mistaken = (1..=20_000).filter(|n| door.knows(hash(*n))).count();
        assert!(mistaken < 1500, "{mistaken}");
        assert!(door.bytes() <= BITS / 4);
        let known = (0..1000).filter(|n| door.knows(hash(*n))).count();
        assert!(known < 200, "{known} of long ago are known");
        let known = (19_000..=20_000).filter(|n| door.knows(hash(*n))).count();
        assert!(known > 900, "{known} of just now are known");
    }
}
