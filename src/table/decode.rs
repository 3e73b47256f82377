//! Which encoding a file is in, and its bytes as UTF-8.

use std::cmp::Ordering;
use std::io::{Cursor, Read};

use encoding_rs_io::DecodeReaderBytesBuilder;

use hedui_protocol::normalise::is_han;

use super::Encoding;

/// How much of a file is looked at to tell its encoding and separator.
pub(super) const SAMPLE: usize = 1 << 16;

/// The first bytes of `input`, and a reader that still gives all of them.
pub(super) fn sample(mut input: impl Read + Send + 'static) -> std::io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = Vec::with_capacity(SAMPLE);
    input.by_ref().take(SAMPLE as u64).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(input);
    Ok((head, Box::new(whole)))
}

/// What most lines beyond ASCII are: UTF-8, or else what their bytes look like, which hardly ever pass for it. Of a file put
/// together of two encodings, the reader of rows names the first row of the other.
pub(super) fn detect(sample: &[u8]) -> Encoding {
    let sample = match std::str::from_utf8(sample) {
        // the sample ends inside a character
        Err(e) if e.error_len().is_none() => &sample[..e.valid_up_to()],
        _ => sample,
    };
    let utf8 = |line: &[u8]| std::str::from_utf8(line).is_ok();
    let lines = sample.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_ascii());
    let (in_favour, against): (Vec<&[u8]>, Vec<&[u8]>) = lines.clone().partition(|line| utf8(line));
    match in_favour.len().cmp(&against.len()) {
        Ordering::Greater => Encoding::Utf8,
        Ordering::Equal if lines.clone().next().is_none_or(utf8) => Encoding::Utf8,
        _ => by_pairs(&against),
    }
}

/// By what stands behind a byte beyond ASCII. GB18030's characters are mostly two such bytes; in Big5 the second is ASCII as
/// often as not, and never of the first 32 beyond; Windows-1252 has single ones, between letters.
fn by_pairs(lines: &[&[u8]]) -> Encoding {
    let (mut both, mut first_alone, mut big5) = (0u32, 0u32, true);
    for line in lines {
        let mut bytes = line.iter();
        while let Some(byte) = bytes.next() {
            if byte.is_ascii() {
                continue;
            }
            let second = bytes.next().copied().unwrap_or(b' ');
            *(if second.is_ascii() { &mut first_alone } else { &mut both }) += 1;
            big5 &= matches!((byte, second), (0xa1..=0xf9, 0x40..=0x7e | 0xa1..=0xfe));
        }
    }
    match (first_alone > 4 * both, big5 && 4 * first_alone > both) {
        (true, _) => Encoding::Windows1252,
        (_, true) => Encoding::Big5,
        _ => Encoding::Gb18030,
    }
}

impl Encoding {
    /// A text's bytes as UTF-8; bytes that are none of its become U+FFFD, which the reader of rows refuses.
    pub(super) fn decode(self, input: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        let encoding = match self {
            Self::Utf8 => return input,
            Self::Gb18030 => encoding_rs::GB18030,
            Self::Big5 => encoding_rs::BIG5,
            Self::Windows1252 => encoding_rs::WINDOWS_1252,
        };
        Box::new(DecodeReaderBytesBuilder::new().encoding(Some(encoding)).build(input))
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Gb18030 => "GB18030",
            Self::Big5 => "Big5",
            Self::Windows1252 => "Windows-1252",
        }
    }
}

/// By its mark, or by the noughts that every other byte of Latin text and separators is.
pub(super) fn is_utf16(sample: &[u8]) -> bool {
    let noughts = |from: usize| sample.iter().skip(from).step_by(2).take(64).filter(|byte| **byte == 0).count();
    sample.starts_with(&[0xff, 0xfe]) || sample.starts_with(&[0xfe, 0xff]) || noughts(0).max(noughts(1)) > 16
}

/// Whether a cell that was read in another encoding was UTF-8: its bytes are, which they hardly ever are by chance. Of a Chinese
/// encoding two bytes may be a letter of UTF-8 as well: there only Han text counts.
pub(super) fn was_utf8(cell: &str, read_as: Encoding) -> bool {
    let encoding = match read_as {
        Encoding::Utf8 => return false,
        Encoding::Gb18030 => encoding_rs::GB18030,
        Encoding::Big5 => encoding_rs::BIG5,
        Encoding::Windows1252 => encoding_rs::WINDOWS_1252,
    };
    if cell.is_ascii() {
        return false;
    }
    let (bytes, _, lost) = encoding.encode(cell);
    let any = read_as == Encoding::Windows1252;
    !lost && std::str::from_utf8(&bytes).is_ok_and(|text| any || text.chars().all(|c| c.is_ascii() || is_han(c)))
}

#[cfg(test)]
mod tests {
    use hedui_protocol::passes::{FieldState, Normaliser};
    use hedui_protocol::schema::Schema;

    use super::*;

    #[test]
    fn the_encoding_shows_in_the_bytes() {
        assert_eq!(detect("编号,姓名".as_bytes()), Encoding::Utf8);
        assert_eq!(detect(&"姓名".as_bytes()[..5]), Encoding::Utf8, "cut inside a character");
        assert_eq!(detect(&encoding_rs::GB18030.encode("编号,姓名").0), Encoding::Gb18030);
        assert_eq!(detect(b"id,name"), Encoding::Utf8);
    }

    #[test]
    fn encodings_without_a_mark_are_told_by_their_bytes() {
        let big5 = |text: &str| detect(&encoding_rs::BIG5.encode(text).0);
        let gb18030 = |text: &str| detect(&encoding_rs::GB18030.encode(text).0);
        let latin = |text: &str| detect(&encoding_rs::WINDOWS_1252.encode(text).0);
        for text in ["id,姓名\n1,陳大文\n2,李小龍\n3,歐陽修\n", "編號,姓名,地址\n1,王美麗,臺北市大安區和平東路12號\n"]
        {
            assert_eq!(big5(text), Encoding::Big5, "{text}");
            assert_eq!(gb18030(text), Encoding::Gb18030, "{text}");
        }
        for text in ["编号,姓名\n1,李䶮\n", "1,张伟\n2,喆\n3,赵镕\n", "1,歐陽修\n"] {
            assert_eq!(gb18030(text), Encoding::Gb18030, "{text}");
        }
        for text in [
            "id,name\n1,Müller\n2,Björn\n",
            "1,José Núñez\n2,André\n3,Zoë\n4,Jürgen\n5,Käthe\n",
            "1,Käthe Strauß\n",
            "1,Ö'Brien\n2,André\n",
        ] {
            assert_eq!(latin(text), Encoding::Windows1252, "{text}");
        }
    }

    #[test]
    fn of_two_encodings_most_lines_decide_and_then_the_first() {
        let lines = |gb18030: &[bool]| -> Vec<u8> {
            let line =
                |gb: &bool| if *gb { encoding_rs::GB18030.encode("张三\n").0.to_vec() } else { "李四\n".into() };
            gb18030.iter().flat_map(line).collect()
        };
        assert_eq!(detect(&lines(&[false, true, false])), Encoding::Utf8);
        assert_eq!(detect(&lines(&[true, true, false])), Encoding::Gb18030);
        assert_eq!(detect(&lines(&[false, true])), Encoding::Utf8);
        assert_eq!(detect(&lines(&[true, false])), Encoding::Gb18030);
    }

    #[test]
    fn utf16_shows_in_its_bytes() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert!(is_utf16(&utf16("\u{feff}编号,姓名")));
        assert!(is_utf16(&utf16("id,name,date,sex,phone,address\n")));
        assert!(!is_utf16("id,name,date,sex,phone,address\n1,张伟".as_bytes()) && !is_utf16(b"") && !is_utf16(b"a\0b"));
    }

    #[test]
    fn utf8_read_as_gb18030_is_known() {
        let misread = |text: &str| encoding_rs::GB18030.decode(text.as_bytes()).0.into_owned();
        for text in ["张伟", "欧阳娜娜", "李雷 1号", "南京市玄武区长江路1号"] {
            assert_eq!(was_utf8(&misread(text), Encoding::Gb18030), !misread(text).contains('\u{fffd}'), "{text}");
            assert!(!was_utf8(text, Encoding::Gb18030), "{text}");
        }
        assert!(was_utf8(&misread("张伟"), Encoding::Gb18030) && !was_utf8("Zhang Wei", Encoding::Gb18030));
        // all surnames and given names of two characters of the common list, read rightly
        let common = "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕";
        for one in common.chars() {
            for other in common.chars() {
                assert!(!was_utf8(&format!("{one}{other}"), Encoding::Gb18030), "{one}{other}");
                assert!(!was_utf8(&format!("{one}{other}{one}"), Encoding::Gb18030), "{one}{other}{one}");
            }
        }
    }

    #[test]
    fn gb18030_reads_as_utf8() {
        let bytes = encoding_rs::GB18030.encode("李䶮,阿卜杜拉·买买提").0.into_owned();
        let mut text = String::new();
        Encoding::Gb18030.decode(Box::new(Cursor::new(bytes))).read_to_string(&mut text).unwrap();
        assert_eq!(text, "李䶮,阿卜杜拉·买买提");
    }
    /// GBK's FE50 to FEA0, which older systems hold as U+E815 to U+E864 and newer ones as Unicode's own characters.
    #[test]
    fn a_private_use_character_meets_what_gb18030_decodes_to() {
        let schema = Schema::parse(Schema::preset("resident-cn").unwrap()).unwrap();
        let normaliser = Normaliser::new(&schema.for_record_profile());
        let grams = |character: char| {
            let row = normaliser.row(&[&format!("李{character}雷"), "", "", "", "", "", "", ""]);
            (row.states[0], row.grams)
        };
        let left_private = ['\u{e816}', '\u{e817}', '\u{e818}', '\u{e831}', '\u{e83b}', '\u{e855}'];
        let second = (0x50..=0xa0).filter(|byte| *byte != 0x7f);
        for (private, second) in ('\u{e815}'..='\u{e864}').zip(second) {
            let bytes = [0xfe, second];
            let public = encoding_rs::GB18030.decode(&bytes).0.chars().next().unwrap();
            assert_eq!(public == private, left_private.contains(&private), "fe{second:x}");
            assert!(grams(private) == grams(public), "fe{second:x}");
            let radical = ('\u{2e80}'..='\u{2eff}').contains(&public);
            let expect = if radical { FieldState::Uncertain } else { FieldState::Valid };
            assert_eq!(grams(private).0, expect, "fe{second:x}");
        }
    }
}
