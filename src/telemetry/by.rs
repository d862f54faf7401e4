//! A value for each word of a list of labels.
//!
//! **Invariant:** every label has its value; as JSON it is an object of those that are not zero.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A fixed list of words.
pub trait Label: Copy + 'static {
    /// All of them, in order.
    const ALL: &'static [Self];

    /// The word.
    fn word(self) -> &'static str;

    /// Its place in the list.
    fn index(self) -> usize;
}

/// A value for each label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By<L, T> {
    values: Box<[T]>,
    labels: PhantomData<L>,
}

impl<L: Label, T> By<L, T> {
    /// Makes the value for each label.
    pub fn of(value: impl FnMut(L) -> T) -> Self {
        Self { values: L::ALL.iter().copied().map(value).collect(), labels: PhantomData }
    }

    /// Each label with its value.
    pub fn iter(&self) -> impl Iterator<Item = (L, &T)> {
        L::ALL.iter().copied().zip(&self.values)
    }

    /// The values alone.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }

    /// The values alone, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.values.iter_mut()
    }
}

impl<L: Label, T: Default> Default for By<L, T> {
    fn default() -> Self {
        Self::of(|_| T::default())
    }
}

impl<L: Label, T> Index<L> for By<L, T> {
    type Output = T;

    fn index(&self, label: L) -> &T {
        &self.values[label.index()]
    }
}

impl<L: Label, T> IndexMut<L> for By<L, T> {
    fn index_mut(&mut self, label: L) -> &mut T {
        &mut self.values[label.index()]
    }
}

impl<L: Label, T: Serialize + Default + PartialEq> Serialize for By<L, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nothing = T::default();
        let some = self.iter().filter(|(_, value)| **value != nothing);
        serializer.collect_map(some.map(|(label, value)| (label.word(), value)))
    }
}

impl<'de, L: Label, T: Deserialize<'de> + Default> Deserialize<'de> for By<L, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut by = Self::default();
        for (word, value) in BTreeMap::<String, T>::deserialize(deserializer)? {
            let label = L::ALL.iter().find(|label| label.word() == word);
            by[*label.ok_or_else(|| D::Error::custom(format!("there is no label `{word}`")))?] = value;
        }
        Ok(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::labels::{Route, StatusClass};

    #[test]
    fn as_json_it_is_an_object_of_what_is_not_zero() {
        let mut answered: By<Route, By<StatusClass, u64>> = By::default();
        answered[Route::CachedQueries][StatusClass::Successful] = 7;
        let text = serde_json::to_string(&answered).unwrap();
        assert_eq!(text, r#"{"cached-queries":{"2xx":7}}"#);
        assert_eq!(serde_json::from_str::<By<Route, By<StatusClass, u64>>>(&text).unwrap(), answered);
        assert!(serde_json::from_str::<By<StatusClass, u64>>(r#"{"6xx":1}"#).is_err());
    }
}
