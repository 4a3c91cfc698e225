//! Decimal encoding of message-numbers and sizes.

use bytes::BytesMut;

/// Appends a number in decimal. Listings call this twice per line, so it does not allocate.
pub(super) fn put_number(mut number: u64, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
