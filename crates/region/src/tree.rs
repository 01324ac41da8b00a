//! A persistent ordered map: a B+ tree whose nodes are shared until they change.
//!
//! A clone costs nothing, a change copies the nodes on one way from the root (and none that nobody shares), and a
//! map of what is in order already is built in one pass. Wide nodes keep a million records in four levels, next to
//! each other in memory.
//!
//! Invariants: keys ascend; a node but the root has at least one entry and [`WIDTH`] at most; a branch's key for a
//! child is not greater than any key in it, and greater than every key in the children before.

use std::sync::Arc;

/// The most entries of a node.
const WIDTH: usize = 32;
/// Below so many entries, a node joins its neighbour.
const FEW: usize = WIDTH / 4;
/// How full nodes are that are built at once: the next entries shall find room.
const PACKED: usize = WIDTH - WIDTH / 8;

/// A persistent ordered map.
#[derive(Clone)]
pub(crate) struct Tree<K, V> {
    root: Node<K, V>,
    size: usize,
}

enum Node<K, V> {
    Leaf(Arc<Vec<(K, V)>>),
    Branch(Arc<Vec<(K, Node<K, V>)>>),
}

/// A node below another, with a bound of its keys.
type Child<K, V> = (K, Node<K, V>);

impl<K, V> Clone for Node<K, V> {
    fn clone(&self) -> Node<K, V> {
        match self {
            Node::Leaf(entries) => Node::Leaf(Arc::clone(entries)),
            Node::Branch(children) => Node::Branch(Arc::clone(children)),
        }
    }
}

impl<K, V> Default for Tree<K, V> {
    fn default() -> Tree<K, V> {
        Tree {
            root: Node::Leaf(Arc::default()),
            size: 0,
        }
    }
}

impl<K: Ord + Clone, V: Clone> Tree<K, V> {
    /// The map of these entries, whose keys ascend.
    pub(crate) fn from_sorted(entries: Vec<(K, V)>) -> Tree<K, V> {
        debug_assert!(entries.is_sorted_by(|(one, _), (other, _)| one < other));
        let size = entries.len();
        let mut level: Vec<(K, Node<K, V>)> = packed(entries)
            .map(|part| (part.0, Node::Leaf(Arc::new(part.1))))
            .collect();
        while level.len() > 1 {
            level = packed(level)
                .map(|part| (part.0, Node::Branch(Arc::new(part.1))))
                .collect();
        }
        match level.pop() {
            Some((_, root)) => Tree { root, size },
            None => Tree::default(),
        }
    }

    /// How many entries there are.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(children) => node = &children.get(child(children, key))?.1,
                Node::Leaf(entries) => {
                    let at = entries.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
                    return entries.get(at).map(|(_, value)| value);
                }
            }
        }
    }

    /// Every entry, in order.
    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        self.after(|_| false)
    }

    /// The entries from the first one on that is not `before`, in order. Keys of which it is true come before those of
    /// which it is not.
    pub(crate) fn after(&self, before: impl Fn(&K) -> bool) -> Iter<'_, K, V> {
        let mut branches = Vec::new();
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(children) => {
                    let at = children.partition_point(|(key, _)| before(key));
                    let mut rest = children
                        .get(at.saturating_sub(1)..)
                        .unwrap_or_default()
                        .iter();
                    let Some((_, first)) = rest.next() else {
                        return Iter {
                            branches,
                            leaf: [].iter(),
                        };
                    };
                    branches.push(rest);
                    node = first;
                }
                Node::Leaf(entries) => {
                    let at = entries.partition_point(|(key, _)| before(key));
                    return Iter {
                        branches,
                        leaf: entries.get(at..).unwrap_or_default().iter(),
                    };
                }
            }
        }
    }

    /// Gives a key a value.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let (new, right) = insert(&mut self.root, key, value);
        self.size += usize::from(new);
        if let Some((least, right)) = right {
            let left = std::mem::replace(&mut self.root, Node::Leaf(Arc::default()));
            // The first child's key is a lower bound, and nothing is lower than what the left one has.
            if let Some(first) = left.least() {
                self.root = Node::Branch(Arc::new(vec![(first, left), (least, right)]));
            }
        }
    }

    /// Takes a key out; whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        // What is not there must not cost a copy.
        if self.get(key).is_none() {
            return false;
        }
        remove(&mut self.root, key);
        self.size -= 1;
        while let Node::Branch(children) = &self.root {
            let only = match children.as_slice() {
                [(_, only)] => only.clone(),
                [] => Node::Leaf(Arc::default()),
                _ => break,
            };
            self.root = only;
        }
        true
    }
}

/// Parts of a list that make nodes, each with its first key.
fn packed<K: Clone, T>(list: Vec<(K, T)>) -> impl Iterator<Item = (K, Vec<(K, T)>)> {
    let mut list = list.into_iter();
    std::iter::from_fn(move || {
        // The last two share what is left, so that no node is nearly empty.
        let left = list.len();
        let size = if left > PACKED && left < PACKED * 2 {
            left / 2
        } else {
            PACKED.min(left)
        };
        let part: Vec<(K, T)> = list.by_ref().take(size).collect();
        let least = part.first()?.0.clone();
        Some((least, part))
    })
}

/// Which child has the key, if any has it.
fn child<K: Ord, T>(children: &[(K, T)], key: &K) -> usize {
    let after = children.partition_point(|(least, _)| least <= key);
    after.saturating_sub(1)
}

impl<K: Ord + Clone, V: Clone> Node<K, V> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(children) => children.len(),
        }
    }

    fn least(&self) -> Option<K> {
        match self {
            Node::Leaf(entries) => entries.first().map(|(key, _)| key.clone()),
            Node::Branch(children) => children.first().map(|(key, _)| key.clone()),
        }
    }
}

/// A node's entries, to change them; with room for one more, as a copy would have none.
fn own<T: Clone>(shared: &mut Arc<Vec<T>>) -> &mut Vec<T> {
    if Arc::get_mut(shared).is_none() {
        let mut copy = Vec::with_capacity(shared.len() + 1);
        copy.extend_from_slice(shared);
        *shared = Arc::new(copy);
    }
    Arc::make_mut(shared)
}

/// The upper half of a node that became too wide.
fn half<T>(entries: &mut Vec<T>) -> Option<Vec<T>> {
    (entries.len() > WIDTH).then(|| entries.split_off(entries.len() / 2))
}

/// Whether the key is new; and the node that must stand to the right, if this one became too wide.
fn insert<K: Ord + Clone, V: Clone>(
    node: &mut Node<K, V>,
    key: K,
    value: V,
) -> (bool, Option<Child<K, V>>) {
    let right = |least: Option<K>, node: Node<K, V>| least.map(|least| (least, node));
    match node {
        Node::Leaf(shared) => {
            let entries = own(shared);
            match entries.binary_search_by(|(other, _)| other.cmp(&key)) {
                Ok(at) => {
                    if let Some(entry) = entries.get_mut(at) {
                        entry.1 = value;
                    }
                    (false, None)
                }
                Err(at) => {
                    entries.insert(at, (key, value));
                    let split = half(entries).and_then(|upper| {
                        let least = upper.first().map(|(key, _)| key.clone());
                        right(least, Node::Leaf(Arc::new(upper)))
                    });
                    (true, split)
                }
            }
        }
        Node::Branch(shared) => {
            let children = own(shared);
            let at = child(children, &key);
            let Some((least, below)) = children.get_mut(at) else {
                return (false, None);
            };
            if key < *least {
                *least = key.clone();
            }
            let (new, split) = insert(below, key, value);
            if let Some(entry) = split {
                children.insert(at + 1, entry);
            }
            let split = half(children).and_then(|upper| {
                let least = upper.first().map(|(key, _)| key.clone());
                right(least, Node::Branch(Arc::new(upper)))
            });
            (new, split)
        }
    }
}

/// Takes out a key that is there.
fn remove<K: Ord + Clone, V: Clone>(node: &mut Node<K, V>, key: &K) {
    match node {
        Node::Leaf(shared) => {
            let entries = own(shared);
            if let Ok(at) = entries.binary_search_by(|(other, _)| other.cmp(key)) {
                entries.remove(at);
            }
        }
        Node::Branch(shared) => {
            let children = own(shared);
            let at = child(children, key);
            if let Some((_, below)) = children.get_mut(at) {
                remove(below, key);
                if below.len() < FEW {
                    join(children, at);
                }
            }
        }
    }
}

/// Joins a child that has few entries with a neighbour; they are halved again if that is too wide.
fn join<K: Ord + Clone, V: Clone>(children: &mut Vec<(K, Node<K, V>)>, at: usize) {
    let left = if at + 1 < children.len() {
        at
    } else {
        at.saturating_sub(1)
    };
    if left + 1 >= children.len() {
        return;
    }
    let (least, right) = children.remove(left + 1);
    let Some((_, left_node)) = children.get_mut(left) else {
        return;
    };
    let upper = match (left_node, right) {
        (Node::Leaf(left), Node::Leaf(right)) => {
            let entries = own(left);
            entries.extend(Arc::unwrap_or_clone(right));
            half(entries).map(|upper| Node::Leaf(Arc::new(upper)))
        }
        (Node::Branch(left), Node::Branch(right)) => {
            let mut moved = Arc::unwrap_or_clone(right);
            // The parent's bound is the lower one.
            if let Some((first, _)) = moved.first_mut() {
                *first = least;
            }
            let entries = own(left);
            entries.extend(moved);
            half(entries).map(|upper| Node::Branch(Arc::new(upper)))
        }
        // All leaves are equally deep.
        (Node::Leaf(_), Node::Branch(_)) | (Node::Branch(_), Node::Leaf(_)) => None,
    };
    if let Some(upper) = upper
        && let Some(least) = upper.least()
    {
        children.insert(left + 1, (least, upper));
    }
}

/// Entries of a [`Tree`], in order.
pub(crate) struct Iter<'t, K, V> {
    /// What is still to come of the branches on the way, the lowest last.
    branches: Vec<std::slice::Iter<'t, (K, Node<K, V>)>>,
    leaf: std::slice::Iter<'t, (K, V)>,
}

impl<'t, K, V> Iterator for Iter<'t, K, V> {
    type Item = (&'t K, &'t V);

    fn next(&mut self) -> Option<(&'t K, &'t V)> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            match self.branches.last_mut()?.next() {
                None => {
                    self.branches.pop();
                }
                Some((_, Node::Branch(children))) => self.branches.push(children.iter()),
                Some((_, Node::Leaf(entries))) => self.leaf = entries.iter(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Checks the invariants of a node and returns its depth. Every key is at least `least` and below `end`.
    fn check(node: &Node<u16, u32>, least: Option<u16>, end: Option<u16>, is_root: bool) -> usize {
        assert!(node.len() <= WIDTH && (is_root || node.len() > 0));
        let inside = |key: u16| {
            assert!(least.is_none_or(|least| least <= key));
            assert!(end.is_none_or(|end| key < end));
        };
        match node {
            Node::Leaf(entries) => {
                assert!(entries.is_sorted_by(|(one, _), (other, _)| one < other));
                entries.iter().for_each(|(key, _)| inside(*key));
                1
            }
            Node::Branch(children) => {
                assert!(children.len() > 1 || !is_root);
                let mut depths = children.iter().enumerate().map(|(at, (from, below))| {
                    inside(*from);
                    let to = children.get(at + 1).map(|(next, _)| *next).or(end);
                    check(below, Some(*from), to, false)
                });
                let depth = depths.next().unwrap();
                assert!(depths.all(|other| other == depth));
                depth + 1
            }
        }
    }

    fn same(tree: &Tree<u16, u32>, model: &BTreeMap<u16, u32>) {
        check(&tree.root, None, None, true);
        assert_eq!(tree.size(), model.len());
        assert!(tree.iter().eq(model.iter()));
    }

    #[test]
    fn what_is_built_at_once_is_what_is_inserted() {
        for size in (0..200).chain([1000, 5000]) {
            let entries: Vec<(u16, u32)> = (0..size).map(|n| (n * 3, u32::from(n))).collect();
            let model: BTreeMap<u16, u32> = entries.iter().copied().collect();
            let tree = Tree::from_sorted(entries);
            same(&tree, &model);
            for key in 0..=size * 3 {
                assert_eq!(tree.get(&key), model.get(&key));
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map(
            start in 0u16..2000,
            steps in prop::collection::vec((any::<bool>(), 0u16..1500), 0..1500),
        ) {
            let entries: Vec<(u16, u32)> = (0..start).map(|n| (n, 0)).collect();
            let mut model: BTreeMap<u16, u32> = entries.iter().copied().collect();
            let mut tree = Tree::from_sorted(entries);
            let (old, old_model) = (tree.clone(), model.clone());
            for (n, (put, key)) in (1u32..).zip(steps) {
                if put {
                    tree.insert(key, n);
                    model.insert(key, n);
                } else {
                    prop_assert_eq!(tree.remove(&key), model.remove(&key).is_some());
                }
                prop_assert_eq!(tree.get(&key), model.get(&key));
                let from = key.saturating_sub(5);
                let found = tree.after(|other| *other < from).take(9);
                prop_assert!(found.eq(model.range(from..).take(9)));
            }
            same(&tree, &model);
            // A clone of before stays as it was.
            same(&old, &old_model);
            for key in model.keys().copied().collect::<Vec<_>>() {
                prop_assert!(tree.remove(&key));
            }
            same(&tree, &BTreeMap::new());
        }
    }
}
