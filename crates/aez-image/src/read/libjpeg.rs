//! The error handling of libjpeg: its errors, and those of its warnings after which pixels are wrong, end the decoding.

use std::{
    cell::Cell,
    os::raw::c_int,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use mozjpeg_sys::{self as sys, jpeg_common_struct, jpeg_error_mgr};

/// Why libjpeg stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data end before the picture does.
    CutShort,
    /// A kind of JPEG file that libjpeg cannot decode.
    Unsupported(&'static str),
    /// There is not enough memory.
    OutOfMemory,
    /// The data violate the standard.
    Damaged,
}

thread_local! {
    /// Number of warnings that do not stop the decoding on this thread, since [`guarded`] began.
    static WARNINGS: Cell<u32> = const { Cell::new(0) };
}

/// Runs a decoding. Returns its result and whether libjpeg found bytes that do not belong to the picture.
pub(super) fn guarded<T>(decode: impl FnOnce() -> std::io::Result<T>) -> Result<(T, bool), Fault> {
    WARNINGS.set(0);
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => Ok((value, WARNINGS.get() > 0)),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::OutOfMemory => Err(Fault::OutOfMemory),
        Ok(Err(_)) => Err(Fault::Damaged),
        Err(payload) => match payload.downcast::<Fault>() {
            Ok(fault) => Err(*fault),
            Err(bug) => resume_unwind(bug),
        },
    }
}

/// An error manager whose faults are caught by [`guarded`].
#[allow(unsafe_code)]
pub(super) fn error_manager() -> jpeg_error_mgr {
    // SAFETY: the structure has integers and pointers only, for which zero is valid, and `jpeg_std_error` sets them all.
    let mut manager = unsafe {
        let mut manager = std::mem::zeroed();
        sys::jpeg_std_error(&mut manager);
        manager
    };
    manager.error_exit = Some(stop);
    manager.emit_message = Some(consider);
    manager
}

/// The code of the last message.
#[allow(unsafe_code)]
fn code(common: &jpeg_common_struct) -> c_int {
    // SAFETY: libjpeg calls the manager that `common.err` points to, which lives as long as the decoder.
    unsafe { (*common.err).msg_code }
}

/// Ends the decoding. Unwinding without a panic message passes libjpeg's frames, which are compiled for that.
extern "C-unwind" fn stop(common: &mut jpeg_common_struct) {
    resume_unwind(Box::new(match code(common) {
        sys::JERR_FILE_READ | sys::JERR_INPUT_EOF | sys::JERR_INPUT_EMPTY | sys::JWRN_JPEG_EOF => {
            Fault::CutShort
        }
        sys::JERR_OUT_OF_MEMORY => Fault::OutOfMemory,
        sys::JERR_BAD_PRECISION => Fault::Unsupported("JPEG of other than 8 bits per sample"),
        sys::JERR_COMPONENT_COUNT => Fault::Unsupported("JPEG with more than ten components"),
        sys::JERR_CONVERSION_NOTIMPL => Fault::Unsupported("JPEG with components of unknown colours"),
        sys::JERR_EMPTY_IMAGE => Fault::Unsupported("JPEG that does not declare its height at its start"),
        sys::JERR_FRACT_SAMPLE_NOTIMPL => Fault::Unsupported("JPEG with fractional sampling factors"),
        sys::JERR_SOF_UNSUPPORTED => Fault::Unsupported("lossless or hierarchical JPEG"),
        _ => Fault::Damaged,
    }));
}

/// A message of a level below zero is a warning: the data are wrong, and libjpeg would guess.
extern "C-unwind" fn consider(common: &mut jpeg_common_struct, level: c_int) {
    if level >= 0 {
        return;
    }
    match code(common) {
        // Pixels are what they should be.
        sys::JWRN_ADOBE_XFORM
        | sys::JWRN_BOGUS_ICC
        | sys::JWRN_BOGUS_PROGRESSION
        | sys::JWRN_JFIF_MAJOR
        | sys::JWRN_NOT_SEQUENTIAL => {}
        // Some cameras write padding, which is harmless. After damaged data there are such bytes too.
        sys::JWRN_EXTRANEOUS_DATA => WARNINGS.set(WARNINGS.get() + 1),
        _ => stop(common),
    }
}
