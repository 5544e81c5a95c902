//! Members of archives as unpacking leaves them, several archives with labels of their own, and archives that are given as labels.

use super::forms::forms;
use super::sources::{tar_of, write};
use super::witnesses::{FOUR, SWAPPED, check, check_one, labels, owed};
use super::zips::zip_of;
use imagenet_engine::data::Split::Train;
use imagenet_engine::data::source::{SourceOptions, open};
use std::path::PathBuf;

/// Archives that lie together, each with labels or a list of its own.
#[test]
fn archives_with_labels_of_their_own() {
    type Parts<'a> = [(&'a str, &'a [(&'a str, &'a str)])];
    let bed = |parts: &Parts<'_>, expected: Result<&str, &str>| {
        for zip in [false, true] {
            let tmp = tempfile::tempdir().unwrap();
            for (name, members) in parts {
                let content = |n: &str, c: &str| if c.is_empty() { format!("\x7fimage {name}/{n}\x7f") } else { c.replace("\\n", "\n") };
                let all: Vec<(String, Vec<u8>)> = members.iter().map(|(n, c)| ((*n).to_owned(), content(n, c).into_bytes())).collect();
                let slices: Vec<(String, &[u8])> = all.iter().map(|(n, c)| (n.clone(), &c[..])).collect();
                let (end, bytes) = if zip { ("zip", zip_of(&slices)) } else { ("tar", tar_of(&slices)) };
                write(&tmp.path().join(format!("{name}.{end}")), &bytes);
            }
            check_one(tmp.path(), Train, expected, &format!("{parts:?}"));
        }
    };
    let (a, b) = ("train_part1", "train_part2");
    let all = "train_part1/images/0.png=cat train_part1/images/1.png=dog train_part2/images/2.png=cat train_part2/images/3.png=dog";
    bed(
        &[
            (a, &[("images/0.png", ""), ("images/1.png", ""), ("train.txt", "images/0.png cat\\nimages/1.png dog\\n")]),
            (b, &[("images/2.png", ""), ("images/3.png", ""), ("train.txt", "images/2.png cat\\nimages/3.png dog\\n")]),
        ],
        Ok(all),
    );
    bed(
        &[
            (a, &[("images/0.png", ""), ("images/1.png", ""), ("labels.csv", "0.png,cat\\n1.png,dog\\n")]),
            (b, &[("images/2.png", ""), ("images/3.png", ""), ("labels.csv", "2.png,cat\\n3.png,dog\\n")]),
        ],
        Ok(all),
    );
    bed(
        &[
            (a, &[("images/0.png", ""), ("images/1.png", ""), ("labels.csv", FOUR)]),
            (b, &[("images/2.png", ""), ("images/3.png", ""), ("labels.csv", SWAPPED)]),
        ],
        Err("contradict each other"),
    );
    bed(
        &[
            (
                "a",
                &[
                    ("0.png", ""),
                    ("1.png", ""),
                    ("metadata.jsonl", "{\"file_name\":\"0.png\",\"label\":\"cat\"}\\n{\"file_name\":\"1.png\",\"label\":\"dog\"}\\n"),
                ],
            ),
            (
                "b",
                &[
                    ("0.png", ""),
                    ("1.png", ""),
                    ("metadata.jsonl", "{\"file_name\":\"0.png\",\"label\":\"dog\"}\\n{\"file_name\":\"1.png\",\"label\":\"cat\"}\\n"),
                ],
            ),
        ],
        Ok("a/0.png=cat a/1.png=dog b/0.png=dog b/1.png=cat"),
    );
}

/// Of two members of one name the last counts, as unpacking leaves it.
#[test]
fn the_last_of_two_members_counts() {
    let tmp = tempfile::tempdir().unwrap();
    let (first, last) = (SWAPPED.replace("\\n", "\n"), FOUR.replace("\\n", "\n"));
    let image = |n: &str| format!("\x7fimage {n}\x7f").into_bytes();
    let [old, new, one, two, three] = ["old", "new", "1", "2", "3"].map(image);
    let members: Vec<(String, &[u8])> = [
        ("images/0.png", &old[..]),
        ("labels.csv", first.as_bytes()),
        ("images/1.png", &one),
        ("images/2.png", &two),
        ("images/3.png", &three),
        ("images/0.png", &new),
        ("labels.csv", last.as_bytes()),
    ]
    .map(|(n, c)| (n.to_owned(), c))
    .to_vec();
    for (name, bytes) in [("t.tar", tar_of(&members)), ("t.zip", zip_of(&members))] {
        write(&tmp.path().join(name), &bytes);
        check_one(&tmp.path().join(name), Train, Ok("new=cat 1=dog 2=cat 3=dog"), "members twice");
    }
    let classes: Vec<(String, &[u8])> =
        [("cat/0.png", &old[..]), ("dog/1.png", &one), ("cat/0.png", &new)].map(|(n, c)| (n.to_owned(), c)).to_vec();
    write(&tmp.path().join("c.tar"), &tar_of(&classes));
    check_one(&tmp.path().join("c.tar"), Train, Ok("new=cat 1=dog"), "class folders");
    let (cat, again, dog) =
        (tar_of(&[("0.png".to_owned(), &old[..])]), tar_of(&[("0.png".to_owned(), &new[..])]), tar_of(&[("1.png".to_owned(), &one[..])]));
    let tars: Vec<(String, &[u8])> =
        [("cat.tar", &cat[..]), ("dog.tar", &dog), ("cat.tar", &again)].map(|(n, c)| (n.to_owned(), c)).to_vec();
    write(&tmp.path().join("tars.tar"), &tar_of(&tars));
    check_one(&tmp.path().join("tars.tar"), Train, Ok("new=cat 1=dog"), "class tars");
}

/// Links in a tar lead to its other members; names may be written as macOS does.
#[test]
fn links_and_accents() {
    let tmp = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8], link: Option<(&str, tar::EntryType)>| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(if link.is_some() { 0 } else { bytes.len() as u64 });
        match link {
            Some((to, kind)) => {
                header.set_entry_type(kind);
                tar.append_link(&mut header, name, to).unwrap();
            }
            None => tar.append_data(&mut header, name, bytes).unwrap(),
        }
    };
    add("images/0.png", b"\x7fimage 0\x7f", None);
    add("images/1.png", b"\x7fimage 1\x7f", None);
    add("x/real.csv", b"0.png,cat\n1.png,dog\n2.png,cat\n", None);
    add("labels.csv", b"", Some(("x/real.csv", tar::EntryType::Symlink)));
    add("images/2.png", b"", Some(("images/0.png", tar::EntryType::Link)));
    add("elsewhere", b"", Some(("../out", tar::EntryType::Symlink)));
    write(&tmp.path().join("s.tar"), &tar.into_inner().unwrap());
    let listing = open(&tmp.path().join("s.tar"), &SourceOptions::default(), Train).unwrap();
    let classes: Vec<&str> = listing.files.iter().map(|f| listing.classes[f.label as usize].as_str()).collect();
    assert_eq!((classes, listing.files.iter().all(|f| f.trouble.is_none())), (vec!["cat", "cat", "dog"], true), "{:?}", listing.files);
    assert!(listing.notes.iter().any(|n| n.starts_with("1 links to what is not in the archive")), "{:?}", listing.notes);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, to) in [("real/cat/0.png", ""), ("set/dog/1.png", ""), ("set/cat", "../real/cat")] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if to.is_empty() {
            let bytes = format!("\x7fimage {name}\x7f");
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes.as_bytes()).unwrap();
        } else {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, to).unwrap();
        }
    }
    write(&tmp.path().join("f.tar"), &tar.into_inner().unwrap());
    check_one(&tmp.path().join("f.tar/set"), Train, Ok("real/cat/0.png=cat set/dog/1.png=dog"), "a folder that is a link");
    let (apart, whole) = ("cafe\u{301}", "caf\u{e9}");
    check(
        &[&format!("images/{apart}.png"), "images/b.png", &format!("labels.csv={whole}.png,x\\nb.png,y\\n")],
        Train,
        Ok(&format!("images/{apart}.png=x images/b.png=y")),
    );
    check(
        &[&format!("images/{apart}.png"), "images/b.png", &format!("train.txt=images/{whole}.png x\\nimages/b.png y\\n")],
        Train,
        Ok(&format!("images/{apart}.png=x images/b.png=y")),
    );
}

#[test]
fn archives_given_as_labels_say_what_they_are() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |n: &str| tmp.path().join(n);
    let input: PathBuf = forms(tmp.path(), &["images/{0,1}.png"])[2].clone();
    write(&at("other.tar"), &tar_of(&[("l.csv".to_owned(), &b"0.png,cat\n1.png,dog\n"[..])]));
    let with = |labels: PathBuf| open(&input, &SourceOptions { labels: Some(labels), ..SourceOptions::default() }, Train);
    assert_eq!(labels(&with(at("other.tar/l.csv")).unwrap()), owed("images/0.png=cat images/1.png=dog"));
    let text = with(at("other.tar/none.csv")).unwrap_err().to_string();
    assert!(text.contains("no member none.csv") && text.contains("other.tar/l.csv"), "{text}");
    let text = with(at("other.tar")).unwrap_err().to_string();
    assert!(text.contains("a tar, not a label file") && text.contains("other.tar/l.csv"), "{text}");
}
