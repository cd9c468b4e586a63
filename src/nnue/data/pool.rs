//! A pool of memory to reuse. New pages from the system would take longer than filling a batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values whose memory is reused. Clones share one pool.
pub(crate) struct Pool<T>(Arc<Mutex<Vec<T>>>);

impl<T> Pool<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The value that was returned last, because its memory is the most likely to be in a cache.
    pub(crate) fn take(&self) -> Option<T> {
        self.lock().pop()
    }

    pub(crate) fn give(&self, value: T) {
        self.lock().push(value);
    }

    /// Locks the pool. A poisoned lock is harmless, because a push or a pop is either complete or
    /// has not happened.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
