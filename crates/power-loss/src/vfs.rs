//! A VFS that passes everything on to the system's own and records each change.
//!
//! Why `unsafe`, and why it is sound: SQLite calls a VFS through tables of C functions and hands out memory for its files. A
//! file of ours is a [`File`] with the system's own file behind it in the same memory, as `szOsFile` asks for; SQLite calls
//! a method only between `xOpen` and `xClose` of that file, and never from two threads at once. Both tables are leaked, so
//! that they live as long as the process. What belongs to Rust in a [`File`] is made in `open` and dropped in `close`.

#![expect(unsafe_code, reason = "a VFS is a table of C functions")]
#![expect(clippy::undocumented_unsafe_blocks, reason = "the argument stands above, once for all")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::path::Path;
use std::sync::{Arc, Once, OnceLock};

use libsqlite3_sys as ffi;

use crate::record::{Name, Op, Record};

/// What the VFS is called in SQLite.
pub(crate) const NAME: &str = "parkway-record";

/// The recorded database that a file belongs to.
struct Recorded {
    record: Arc<Record>,
    name: Name,
    /// Whether the next sync of the file syncs its folder, too: SQLite's own rule for a new log or journal.
    folder: bool,
}

#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    recorded: *mut Recorded,
}

/// Where the system's own file begins.
const HEAD: usize = size_of::<File>().next_multiple_of(16);

struct Real(*mut ffi::sqlite3_vfs);
unsafe impl Send for Real {}
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();

/// Registers the VFS with SQLite, once.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| unsafe {
        let found = ffi::sqlite3_vfs_find(std::ptr::null());
        assert!(!found.is_null(), "SQLite has no VFS of the system");
        let real = REAL.get_or_init(|| Real(found)).0;
        let name = Box::leak(format!("{NAME}\0").into_boxed_str());
        // The rest of the table has no use for a file of its own, and works for any VFS.
        let ours = ffi::sqlite3_vfs {
            szOsFile: c_int::try_from(HEAD).unwrap_or(c_int::MAX) + (*real).szOsFile,
            pNext: std::ptr::null_mut(),
            zName: name.as_ptr().cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..*real
        };
        let done = ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0);
        assert_eq!(done, ffi::SQLITE_OK, "SQLite does not take the VFS");
    });
}

fn real_vfs() -> *mut ffi::sqlite3_vfs {
    REAL.get().map_or(std::ptr::null_mut(), |real| real.0)
}

unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    unsafe { file.cast::<u8>().add(HEAD).cast() }
}

unsafe fn recorded<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut Recorded> {
    unsafe { (*file.cast::<File>()).recorded.as_mut() }
}

unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() { None } else { unsafe { CStr::from_ptr(name) }.to_str().ok() }
}

/// Calls a method of the system's own file.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {
        unsafe {
            let real = real($file);
            match (*(*real).pMethods).$method {
                Some(method) => method(real $(, $argument)*),
                None => ffi::SQLITE_IOERR,
            }
        }
    };
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    unsafe {
        let path = text(name);
        let found = path.and_then(Record::of);
        let is_new = path.is_some_and(|path| !Path::new(path).exists());
        let real = real(file);
        (*real).pMethods = std::ptr::null();
        let mut ops = found.as_ref().map(|(record, _)| record.ops());
        let done = (*real_vfs()).xOpen.map_or(ffi::SQLITE_CANTOPEN, |open| open(real_vfs(), name, real, flags, out));
        let opened = !(*real).pMethods.is_null();
        if let (true, true, Some(ops), Some((_, name))) = (opened, is_new, &mut ops, &found) {
            ops.push(Op::Create(*name));
        }
        drop(ops);
        let recorded = found.filter(|_| opened).map(|(record, name)| {
            let folder = is_new && name != Name::Main;
            Box::into_raw(Box::new(Recorded { record, name, folder }))
        });
        let methods: *const ffi::sqlite3_io_methods = if opened { &METHODS } else { std::ptr::null() };
        let base = ffi::sqlite3_file { pMethods: methods };
        file.cast::<File>().write(File { base, recorded: recorded.unwrap_or(std::ptr::null_mut()) });
        done
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, folder: c_int) -> c_int {
    unsafe {
        let found = text(name).and_then(Record::of);
        let mut ops = found.as_ref().map(|(record, _)| record.ops());
        let done = (*real_vfs()).xDelete.map_or(ffi::SQLITE_IOERR, |delete| delete(real_vfs(), name, folder));
        if let (ffi::SQLITE_OK, Some(ops), Some((_, name))) = (done, &mut ops, &found) {
            ops.push(Op::Delete { name: *name, folder: folder != 0 });
        }
        done
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without the memory map of version 3: each change goes through `write`.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let done = pass!(file, xClose);
    unsafe {
        let recorded = std::mem::replace(&mut (*file.cast::<File>()).recorded, std::ptr::null_mut());
        if !recorded.is_null() {
            drop(Box::from_raw(recorded));
        }
    }
    done
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, len: c_int, at: i64) -> c_int {
    let Some(recorded) = (unsafe { recorded(file) }) else { return pass!(file, xWrite, from, len, at) };
    let mut ops = recorded.record.ops();
    let done = pass!(file, xWrite, from, len, at);
    if let (ffi::SQLITE_OK, Ok(len), Ok(at)) = (done, usize::try_from(len), u64::try_from(at)) {
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) };
        ops.push(Op::Write(recorded.name, at, bytes.into()));
    }
    done
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let Some(recorded) = (unsafe { recorded(file) }) else { return pass!(file, xTruncate, size) };
    let mut ops = recorded.record.ops();
    let done = pass!(file, xTruncate, size);
    if let (ffi::SQLITE_OK, Ok(size)) = (done, u64::try_from(size)) {
        ops.push(Op::Truncate(recorded.name, size));
    }
    done
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let Some(recorded) = (unsafe { recorded(file) }) else { return pass!(file, xSync, flags) };
    let mut ops = recorded.record.ops();
    let done = pass!(file, xSync, flags);
    if done == ffi::SQLITE_OK {
        ops.push(Op::Sync { name: recorded.name, folder: std::mem::take(&mut recorded.folder) });
    }
    done
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, len: c_int, at: i64) -> c_int {
    pass!(file, xRead, to, len, at)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    pass!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, kind: c_int) -> c_int {
    pass!(file, xLock, kind)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, kind: c_int) -> c_int {
    pass!(file, xUnlock, kind)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    pass!(file, xCheckReservedLock, held)
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    pass!(file, xFileControl, what, argument)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    at: *mut *mut c_void,
) -> c_int {
    pass!(file, xShmMap, page, size, extend, at)
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    pass!(file, xShmLock, offset, n, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    unsafe {
        let real = real(file);
        if let Some(method) = (*(*real).pMethods).xShmBarrier {
            method(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    pass!(file, xShmUnmap, delete)
}
