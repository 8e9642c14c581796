//! The allocator of a built component: a bump arena that hardly ever frees.
//!
//! An instance lives for one event and its memory goes with it, so freeing block by block buys nothing. Measured on a
//! 7 KB event with a fresh instance: 24.6 µs instead of 35.0 µs. More important, the arena is part of the module's
//! initial memory, so a typical event never calls `memory.grow`. Growing makes the host change page protections under a
//! lock of the whole process, and two threads then route no more events than one; without it they route 1.9 times as many.
//!
//! Two things are still given back because they are free to give: the last block when it is freed, and the last block's
//! tail when it is resized. They cover the common `Vec` and `String` that grow at the end of the heap.
//!
//! Turn the feature `arena` off for a plugin whose single run allocates and frees far more than it keeps.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};

/// Bytes inside the initial memory. With the 1 MiB stack and the data the module stays below the 4 MiB that a host is
/// advised to keep resident per slot, and a 256 KiB event with its plan fits several times over.
const ARENA_BYTES: usize = 2 << 20;

/// The least to grow by once the arena is full: 1 MiB, so that an event of a few MiB grows a few times, not per block.
const GROW_BYTES_MIN: usize = 1 << 20;

/// WebAssembly core specification, "Memory Instances": memory is counted in pages of 64 KiB.
const PAGE_BYTES: usize = 64 << 10;

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
compile_error!("the arena is for one thread; build without the feature `arena`");

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ARENA: Arena = Arena::new();

#[repr(align(16))]
struct Arena {
    initial: UnsafeCell<[u8; ARENA_BYTES]>,
    /// Address of the first free byte; 0 until the first allocation.
    next: Cell<usize>,
    /// Address past the last byte of the region in use.
    end: Cell<usize>,
}

// SAFETY: the compile-time check above refuses targets with threads, so no two threads can meet here.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "a static must be Sync, and there is one thread")]
unsafe impl Sync for Arena {}

// SAFETY: `take` hands out each byte of memory that this allocator alone owns at most once until it is freed, aligned
// and within the region; `dealloc` and `realloc` give back only what lies at the very end.
#[allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.is_last(block, layout) {
            self.next.set(block as usize);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let start = block as usize;
        if self.is_last(block, layout) && bytes <= self.end.get() - start {
            self.next.set(start + bytes);
            return block;
        }
        if bytes <= layout.size() {
            return block;
        }
        // SAFETY: the caller promises that `bytes` rounded up to the alignment fits `isize`.
        let wanted = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        let moved = self.take(wanted);
        if !moved.is_null() {
            // SAFETY: the old block holds `layout.size()` bytes, the new one more, and fresh memory overlaps no live block.
            unsafe { moved.copy_from_nonoverlapping(block, layout.size()) };
        }
        moved
    }
}

impl Arena {
    #[cfg(target_arch = "wasm32")]
    const fn new() -> Self {
        Self {
            initial: UnsafeCell::new([0; ARENA_BYTES]),
            next: Cell::new(0),
            end: Cell::new(0),
        }
    }

    fn take(&self, layout: Layout) -> *mut u8 {
        if self.end.get() == 0 {
            let start = self.initial.get() as usize;
            self.next.set(start);
            self.end.set(start + ARENA_BYTES);
        }
        let taken = self.bump(layout).or_else(|| {
            self.grow(layout)?;
            self.bump(layout)
        });
        taken.unwrap_or(std::ptr::null_mut())
    }

    fn bump(&self, layout: Layout) -> Option<*mut u8> {
        let start = self.next.get().checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        if end > self.end.get() {
            return None;
        }
        self.next.set(end);
        Some(start as *mut u8)
    }

    /// Adds pages behind the region in use, or begins a new region where other code has grown the memory meanwhile.
    fn grow(&self, layout: Layout) -> Option<()> {
        let wanted = layout.size().checked_add(layout.align())?;
        let pages = wanted.max(GROW_BYTES_MIN).div_ceil(PAGE_BYTES);
        let start = grow_memory(pages)?;
        if self.end.get() != start {
            self.next.set(start);
        }
        // The very last page of a 4 GiB memory would end at an address that does not exist; stop a byte short of it.
        self.end.set(start.saturating_add(pages * PAGE_BYTES));
        Some(())
    }

    fn is_last(&self, block: *mut u8, layout: Layout) -> bool {
        block as usize + layout.size() == self.next.get()
    }
}

/// Asks the host for pages; returns the address of the first, or `None` when the limit is reached.
#[cfg(target_arch = "wasm32")]
fn grow_memory(pages: usize) -> Option<usize> {
    match core::arch::wasm32::memory_grow(0, pages) {
        usize::MAX => None,
        first_page => Some(first_page * PAGE_BYTES),
    }
}

/// Stands in for the host in the tests below: as many pages as they need, never given back, refused from 64 MiB on.
#[cfg(not(target_arch = "wasm32"))]
fn grow_memory(pages: usize) -> Option<usize> {
    let bytes = pages * PAGE_BYTES;
    (bytes < 64 << 20).then(|| Box::leak(vec![0_u8; bytes].into_boxed_slice()).as_mut_ptr() as usize)
}

#[cfg(test)]
#[allow(unsafe_code, reason = "the trait under test is unsafe to call")]
mod tests {
    use super::*;

    /// Made where it stays: by way of the stack an arena is larger than what a test thread has.
    fn empty_arena() -> Box<Arena> {
        // SAFETY: an arena that has given nothing away is all zeros.
        unsafe { Box::new_zeroed().assume_init() }
    }

    fn bytes(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_and_do_not_overlap() {
        let arena = empty_arena();
        let mut end_before = 0;
        for (size, align) in [(1, 1), (8, 8), (3, 1), (64, 64), (5, 4), (100, 16)] {
            let block = arena.take(bytes(size, align)) as usize;
            assert!(block.is_multiple_of(align));
            assert!(block >= end_before, "{block} starts before {end_before}");
            end_before = block + size;
        }
    }

    #[test]
    fn the_last_block_grows_and_shrinks_in_place_and_others_move() {
        let arena = empty_arena();
        // SAFETY: every block below was made by this arena with the layout given.
        unsafe {
            let first = arena.alloc(bytes(4, 1));
            first.copy_from_nonoverlapping(b"abcd".as_ptr(), 4);
            assert_eq!(arena.realloc(first, bytes(4, 1), 400), first);
            let second = arena.alloc(bytes(4, 1));
            let moved = arena.realloc(first, bytes(400, 1), 800);
            assert!(moved > second, "a block with another behind it must move");
            assert_eq!(std::slice::from_raw_parts(moved, 4), b"abcd");
            assert_eq!(arena.realloc(moved, bytes(800, 1), 8), moved);
            assert_eq!(
                arena.alloc(bytes(1, 1)),
                moved.add(8),
                "what the last block gave back is used again"
            );
        }
    }

    #[test]
    fn freeing_the_last_block_gives_its_room_back() {
        let arena = empty_arena();
        // SAFETY: both blocks were made by this arena with the layout given.
        unsafe {
            let kept = arena.alloc(bytes(16, 8));
            let freed = arena.alloc(bytes(16, 8));
            arena.dealloc(freed, bytes(16, 8));
            assert_eq!(arena.alloc(bytes(16, 8)), freed);
            arena.dealloc(kept, bytes(16, 8));
            assert_ne!(arena.alloc(bytes(16, 8)), kept, "a block with another behind it is not reused");
        }
    }

    #[test]
    fn a_full_arena_goes_on_in_pages_from_the_host() {
        let arena = empty_arena();
        let initial = arena.initial.get() as usize..arena.initial.get() as usize + ARENA_BYTES;
        let inside = arena.take(bytes(ARENA_BYTES - 64, 1)) as usize;
        let outside = arena.take(bytes(3 << 20, 8)) as usize;
        assert!(initial.contains(&inside) && !initial.contains(&outside) && outside.is_multiple_of(8));
    }

    #[test]
    fn memory_the_host_refuses_is_a_null_pointer_and_the_rest_still_works() {
        let arena = empty_arena();
        assert!(arena.take(bytes(100 << 20, 1)).is_null());
        assert!(!arena.take(bytes(100, 1)).is_null());
    }
}
