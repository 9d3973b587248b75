//! A table of things under way: stable slots, reused when free.

use crate::agenda::Slot;

/// Values in numbered slots.
#[derive(Debug)]
pub struct Table<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

/// Room for so many is made at once: it costs address space alone, where growing would copy what is under way.
const MOST_EXPECTED: u64 = 1 << 14;

impl<T> Table<T> {
    /// So many values come in all: room for them, or for as many as may well be there at a time.
    pub fn expect(&mut self, values: u64) {
        self.slots.reserve(usize::try_from(values.min(MOST_EXPECTED)).unwrap_or(0));
    }

    /// Puts a value into a free slot.
    ///
    /// # Panics
    /// With more than 2^32 values at once.
    pub fn insert(&mut self, value: T) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("more than 2^32 things under way")
        });
        let place = &mut self.slots[index as usize];
        // So that the compiler knows that nothing is to be dropped.
        assert!(place.is_none(), "a free slot is empty");
        *place = Some(value);
        Slot(index)
    }

    /// The value in a slot.
    ///
    /// # Panics
    /// When the slot is free: an event names something that is over.
    #[must_use]
    pub fn get(&self, slot: Slot) -> &T {
        self.slots[slot.index()].as_ref().expect("an event names a thing that is over")
    }

    /// The value in a slot, to change.
    ///
    /// # Panics
    /// As [`Table::get`].
    pub fn get_mut(&mut self, slot: Slot) -> &mut T {
        self.slots[slot.index()].as_mut().expect("an event names a thing that is over")
    }

    /// Takes the value out and frees the slot.
    ///
    /// # Panics
    /// As [`Table::get`].
    pub fn remove(&mut self, slot: Slot) -> T {
        let value = self.slots[slot.index()].take().expect("an event names a thing that is over");
        self.free.push(slot.0);
        value
    }

    /// Frees the slot without moving the value out.
    ///
    /// # Panics
    /// As [`Table::get`].
    pub fn free(&mut self, slot: Slot) {
        let place = &mut self.slots[slot.index()];
        assert!(place.is_some(), "an event names a thing that is over");
        *place = None;
        self.free.push(slot.0);
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Is there no value?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values with their slots, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(i, value)| value.as_ref().map(|value| (Slot(i as u32), value)))
    }
}
