//! A header is either rejected or has exactly one encoding, and the layout accounts for every byte.
#![no_main]

use aez_core::container::{Container, Header, Layout};
use aez_fuzz::LIMITS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok((header, length)) = Header::parse(data) else { return };
    assert!(length <= data.len());
    let plain =
        Container { header, payload: data[length..].to_vec(), alpha: None, icc: None, exif: None, xmp: None };
    let bytes = plain.to_bytes().expect("a parsed header can be written");
    assert_eq!(Header::parse(&bytes).expect("a written header can be parsed").0, header);
    if let Ok((_, layout)) = Layout::parse(data, &LIMITS)
        && layout.table.is_empty()
    {
        assert_eq!(bytes, data);
    }
});
