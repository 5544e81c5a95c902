//! The 512-byte header of a tar member, of every dialect: V7, old GNU, GNU, star, ustar and pax.
//!
//! Field positions and types are those of POSIX pax(1) and of GNU tar's manual ("Basic Tar Format"). Checksums are accepted as sums of
//! unsigned bytes and, as SunOS and others once wrote them, of signed ones.

pub const BLOCK: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;

pub struct Header<'a>(&'a [u8; BLOCK]);

/// What a member is, by its type flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    File,
    Folder,
    Link,
    /// A pipe or device.
    Special,
    /// Old GNU sparse files.
    Sparse,
    /// The name of the next member.
    LongName,
    /// Extended header (pax) of the next member.
    Extended,
    /// Extended header of all members that follow.
    Global,
    /// The rest of a member that began on the volume before.
    Continued,
    /// Volume labels, long link names, access lists: nothing that is a member.
    Other,
}

impl<'a> Header<'a> {
    /// The header in a block, if its checksum is right.
    pub fn read(block: &'a [u8]) -> Option<Self> {
        let block: &[u8; BLOCK] = block.try_into().ok()?;
        let said = number(&block[CHECKSUM]).ok()?;
        let others = || block.iter().enumerate().map(|(i, &b)| if CHECKSUM.contains(&i) { b' ' } else { b });
        let unsigned: u64 = others().map(u64::from).sum();
        let signed: i64 = others().map(|b| i64::from(b.cast_signed())).sum();
        (said == unsigned || i64::try_from(said) == Ok(signed)).then_some(Self(block))
    }

    pub fn kind(&self) -> Type {
        match self.0[156] {
            b'1' | b'2' => Type::Link,
            b'3' | b'4' | b'6' => Type::Special,
            b'5' => Type::Folder,
            b'S' => Type::Sparse,
            b'L' => Type::LongName,
            b'x' | b'X' => Type::Extended,
            b'g' => Type::Global,
            b'M' => Type::Continued,
            b'V' | b'K' | b'N' | b'D' | b'A' | b'E' | b'I' => Type::Other,
            _ => Type::File, // '0', NUL, '7', and as POSIX asks, everything unknown
        }
    }

    /// # Errors
    /// What the field is, where it is no number.
    pub fn size(&self) -> Result<u64, String> {
        number(&self.0[124..136])
    }

    /// The name, with the prefix of ustar.
    pub fn name(&self) -> Vec<u8> {
        let (name, prefix) = (until_nul(&self.0[..100]), until_nul(&self.0[345..500]));
        if self.0[257..263] == *b"ustar\0" && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
    }

    /// Where a link leads.
    pub fn link(&self) -> Vec<u8> {
        until_nul(&self.0[157..257]).to_vec()
    }

    pub fn is_hard_link(&self) -> bool {
        self.0[156] == b'1'
    }

    /// Whether the map of an old GNU sparse file goes on in the next block.
    pub fn map_goes_on(&self) -> bool {
        self.0[482] == 1
    }
}

/// Octal digits, or GNU's base 256 (the first bit set, big-endian). Nothing is zero.
fn number(field: &[u8]) -> Result<u64, String> {
    let wrong = || format!("a size that is no number: {:?}", String::from_utf8_lossy(until_nul(field)));
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let mut value = u64::from(first & 0x7f);
        for &byte in rest {
            value = value.checked_mul(256).ok_or_else(wrong)? + u64::from(byte);
        }
        return Ok(value);
    }
    let text = std::str::from_utf8(until_nul(field)).map_err(|_| wrong())?.trim_matches(' ');
    match text.split(' ').next() {
        None | Some("") => Ok(0),
        Some(digits) if digits.starts_with('+') => Err(wrong()),
        Some(digits) => u64::from_str_radix(digits, 8).map_err(|_| wrong()),
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or(field)
}

/// What a pax header changes about the next member.
#[derive(Default)]
pub struct Extended {
    pub path: Option<Vec<u8>>,
    /// Where a link leads.
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub sparse: bool,
    /// The archive is a later volume of several.
    pub later_volume: bool,
}

impl Extended {
    /// Records of `LENGTH KEY=VALUE\n`; values may hold any bytes, so the length counts and not the line break.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn read(mut pax: &[u8]) -> Result<Self, &'static str> {
        const WRONG: &str = "an extended header that cannot be understood";
        let (mut found, mut sparse_name) = (Self::default(), None);
        while pax.first().is_some_and(|&b| b != 0) {
            let space = pax.iter().take(8).position(|&b| b == b' ').ok_or(WRONG)?;
            let len: usize = std::str::from_utf8(&pax[..space]).ok().and_then(|n| n.parse().ok()).ok_or(WRONG)?;
            let record = pax.get(space + 1..len).ok_or(WRONG)?;
            let record = record.strip_suffix(b"\n").ok_or(WRONG)?;
            let equals = record.iter().position(|&b| b == b'=').ok_or(WRONG)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                // An empty value means that there is none.
                b"path" => found.path = Some(value.to_vec()).filter(|v| !v.is_empty()),
                b"linkpath" => found.link = Some(value.to_vec()).filter(|v| !v.is_empty()),
                b"size" if value.is_empty() => found.size = None,
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    found.size = Some(size.ok_or("an extended header whose size is no number")?);
                }
                b"GNU.sparse.name" => sparse_name = Some(value.to_vec()),
                b"GNU.volume.offset" => found.later_volume = true,
                _ => {}
            }
            found.sparse |= key.starts_with(b"GNU.sparse.");
            pax = &pax[len..];
        }
        found.path = sparse_name.or(found.path);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_kind() {
        let cases: [(&[u8], Option<u64>); 9] = [
            (b"00000001750\0", Some(1000)),
            (b"      1750 \0", Some(1000)),
            (b"77777777777 ", Some(8_589_934_591)),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", Some(0)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(1 << 33)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000000178\0\0", None),
            (b"-0000000017\0", None),
            (b"+0000000017\0", None),
        ];
        for (field, value) in cases {
            assert_eq!(number(field).ok(), value, "{field:?}");
        }
    }
}
