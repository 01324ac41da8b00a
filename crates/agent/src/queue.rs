//! Frames that wait for the slow path: a queue for each port, served in turn. Whoever sends more than is decided waits
//! behind its own frames, not before its neighbour's.

use std::collections::{BTreeMap, VecDeque};

/// The most frames of a port that wait, and the most bytes.
const PORT_FRAMES: usize = 512;
const PORT_BYTES: usize = 1 << 20;
/// At so many bytes in all, a port may have one frame waiting.
const ALL_BYTES: usize = 64 << 20;

/// The queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    /// None of them is empty.
    ports: BTreeMap<u32, Queue>,
    /// Each of the ports once; the first is next.
    turns: VecDeque<u32>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Queues {
    /// Takes a frame of a port. False if there is no room for it.
    pub(crate) fn push(&mut self, port: u32, frame: &[u8]) -> bool {
        let full = |queue: &Queue| {
            queue.frames.len() >= PORT_FRAMES
                || queue.bytes + frame.len() > PORT_BYTES
                || self.bytes >= ALL_BYTES
        };
        if self.ports.get(&port).is_some_and(full) {
            return false;
        }
        let queue = self.ports.entry(port).or_default();
        if queue.frames.is_empty() {
            self.turns.push_back(port);
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame.to_vec());
        self.bytes += frame.len();
        true
    }

    /// The next frame: the oldest of the port whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let port = self.turns.pop_front()?;
        let queue = self.ports.get_mut(&port)?;
        let frame = queue.frames.pop_front()?;
        queue.bytes -= frame.len();
        self.bytes -= frame.len();
        if queue.frames.is_empty() {
            self.ports.remove(&port);
        } else {
            self.turns.push_back(port);
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_waits_for_itself() {
        let mut queues = Queues::default();
        let taken = (0..10_000).filter(|_| queues.push(1, b"flood")).count();
        assert_eq!(taken, PORT_FRAMES);
        assert!(queues.push(2, b"first") && queues.push(2, b"second"));
        let order: Vec<Vec<u8>> = std::iter::from_fn(|| queues.pop()).collect();
        let at = |frame: &[u8]| order.iter().position(|found| found == frame);
        assert_eq!((at(b"first"), at(b"second")), (Some(1), Some(3)));
        assert_eq!(order.len(), PORT_FRAMES + 2);
        assert!(queues.turns.is_empty() && queues.ports.is_empty() && queues.bytes == 0);
    }

    #[test]
    fn large_frames_are_bounded_too() {
        let mut queues = Queues::default();
        let frame = vec![0; 65_000];
        for port in 0..100 {
            while queues.push(port, &frame) {}
        }
        assert!(queues.bytes < ALL_BYTES + 200 * frame.len());
        assert!(queues.push(1000, &frame), "one at least");
        assert!(!queues.push(1000, &frame));
    }
}
