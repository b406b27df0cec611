/// An ErrorResponse: `E`, its length and its fields; empty ones are left out
/// (<https://www.postgresql.org/docs/current/protocol-error-fields.html>).
pub(super) fn write(
    severity: &str,
    state: &str,
    message: &str,
    detail: &str,
    hint: &str,
) -> Vec<u8> {
    let mut fields = Vec::new();
    for (kind, text) in [
        (b'S', severity),
        (b'V', severity),
        (b'C', state),
        (b'M', message),
        (b'D', detail),
        (b'H', hint),
    ] {
        if !text.is_empty() {
            fields.push(kind);
            // A zero byte would end the field: there is none in a text of ours, and none gets out.
            fields.extend(text.bytes().filter(|b| *b != 0));
            fields.push(0);
        }
    }
    fields.push(0);
    let mut message = vec![b'E'];
    let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
    message.extend(length.to_be_bytes());
    message.extend(fields);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_form_that_clients_read() {
        assert_eq!(
            write("FATAL", "28000", "no\0", "", "h"),
            b"E\0\0\0\x21SFATAL\0VFATAL\0C28000\0Mno\0Hh\0\0"
        );
    }
}
