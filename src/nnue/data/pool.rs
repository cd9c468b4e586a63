//! Memory that goes round: fresh pages cost the system more than all else that a batch takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Things whose memory is to be used again. Cheap to clone: all clones are one pool.
pub(crate) struct Pool<T>(Arc<Mutex<Vec<T>>>);

impl<T> Pool<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The thing given last, whose memory is likeliest still in a cache.
    pub(crate) fn take(&self) -> Option<T> {
        self.lock().pop()
    }

    pub(crate) fn give(&self, thing: T) {
        self.lock().push(thing);
    }

    /// A poisoned lock means nothing: a push or a pop is done or not.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
