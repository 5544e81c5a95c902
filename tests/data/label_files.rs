//! Label files, lists and files of class names as people have them: what each gives, or the words with which it is refused.

use super::labels::{image, pack};
use super::sources::write;
use std::path::{Path, PathBuf};

/// A folder of images and texts.
struct Bed(tempfile::TempDir);

impl Bed {
    fn new(images: &[&str], files: &[(&str, &str)]) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        images.iter().for_each(|n| image(&tmp.path().join(n)));
        let bed = Self(tmp);
        files.iter().for_each(|(name, content)| bed.file(name, content.as_bytes()));
        bed
    }

    fn file(&self, name: &str, content: &[u8]) {
        write(&self.at(name), content);
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Exit code, what was said, and `image class` of each record, by the last part of its name; `@` is this folder.
    fn pack(&self, args: &[&str]) -> (i32, String, String) {
        let root = self.0.path().to_str().unwrap();
        let args: Vec<String> = args.iter().map(|a| a.replace('@', root)).collect();
        let (code, said, _, records) = pack(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let records: Vec<String> = records.iter().map(|(name, class)| format!("{name} {class}")).collect();
        (code, said.replace(root, "@"), records.join(", "))
    }

    fn gives(&self, args: &[&str], records: &str) -> String {
        let (code, said, found) = self.pack(args);
        assert!(code == 0 && found == records, "{args:?}: {code} {found}: {said}");
        said
    }

    fn refuses(&self, args: &[&str], code: i32, words: &[&str]) {
        let (found, said, _) = self.pack(args);
        assert_eq!(found, code, "{args:?}: {said}");
        words.iter().for_each(|w| assert!(said.contains(w), "{args:?}: no \"{w}\" in {said}"));
    }
}

const FOUR: [&str; 4] = ["im/0.png", "im/1.png", "im/2.png", "im/3.png"];
const LABELS: [&str; 4] = ["--input", "@/im", "--labels", "@/l.csv"];

/// Line ends, byte order marks, quotes, empty columns at the end, lines that say the same again.
#[test]
fn texts_as_programs_write_them() {
    let bed = Bed::new(&FOUR, &[]);
    let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}image;label\r\n0.png;cat\r\n1.png;dog\r\n2.png;cat\r\n3.png;dog\r\n".encode_utf16().flat_map(unit).collect()
    };
    for text in [
        b"0.png,cat\r1.png,dog\r2.png,cat\r3.png,dog".to_vec(),
        b"image,label\r0.png,cat\r1.png,dog\r2.png,cat\r3.png,dog\r".to_vec(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        b"image,label,,\n0.png,cat,,\n1.png,dog,,\n2.png,cat,,\n3.png,dog,,\n".to_vec(),
        b"image,label\n0.png,cat,\n1.png,dog,\n2.png,cat,\n3.png,dog,\n".to_vec(),
        b"0.png,cat\n1.png,dog\n2.png,cat\n3.png,dog\n0.png,cat\n".to_vec(),
        b"image,note,label\n0.png,\"a\nb, c\",cat\n1.png,\"\",dog\n\"2.png\",\"d\",cat\n3.png,\"e\ne\",dog\n".to_vec(),
    ] {
        bed.file("l.csv", &text);
        let more = if text.starts_with(b"image,note") { &["--label-column", "label"][..] } else { &[] };
        bed.gives(&[&LABELS[..], more].concat(), "0.png cat, 1.png dog, 2.png cat, 3.png dog");
    }
    bed.file("l.csv", b"image,label\n0.png,\"cat, big\nand bad\"\n1.png,dog\n2.png,dog\n3.png,dog\n");
    bed.gives(&LABELS, "0.png cat, big\nand bad, 1.png dog, 2.png dog, 3.png dog");
    bed.file("l.csv", b"0.png,cat\n1.png,dog\n2.png,cat\n3.png,dog\n0.png,dog\n");
    bed.refuses(&LABELS, 65, &["0.png is there twice, with different classes"]);
    bed.file("im/l.txt", b"0.png 1\n1.png 0\n./0.png 1.0\n");
    let said = bed.gives(&["--input", "@/im/l.txt"], "0.png 1, 1.png 0");
    assert!(said.contains("left out 1 line of the list"), "{said}");
    bed.file("im/l.txt", b"0.png 1\n1.png 0\n./0.png 0\n");
    bed.refuses(&["--input", "@/im/l.txt"], 65, &["./0.png is there twice", "line 1: \"1\"; line 3: \"0\""]);
    bed.file("l.csv", b"\n# nothing\n");
    bed.refuses(&LABELS, 65, &["no lines"]);
    for (bytes, words) in [(&b"PK\x03\x04\xff"[..], "export it as CSV"), (b"0.png,caf\xe9\n", "LATIN1"), (b"\x1f\x8b\x08\xff", "gunzip")] {
        bed.file("l.csv", bytes);
        bed.refuses(&LABELS, 65, &["not text", words]);
    }
}

/// CUB-200 names images by ids in one file and classes by ids in another.
#[test]
fn ids_are_no_files_and_no_classes() {
    let images = ["images/001.A/a.png", "images/002.B/b.png", "images/002.B/c.png"];
    let ids = "1 001.A/a.png\n2 002.B/b.png\n3 002.B/c.png\n";
    let bed = Bed::new(
        &images,
        &[("images.txt", ids), ("image_class_labels.txt", "1 1\n2 2\n3 2\n"), ("train_test_split.txt", "1 1\n2 0\n3 1\n")],
    );
    let said = bed.gives(&["--input", "@/images.txt"], "a.png 001.A, c.png 002.B");
    assert!(said.contains("with image_class_labels.txt and train_test_split.txt: 2 images of this split, 1 of the other"), "{said}");
    bed.gives(&["--input", "@/images.txt", "--split", "val"], "b.png 002.B");
    let alone = Bed::new(&images, &[("images.txt", ids)]);
    alone.refuses(&["--input", "@/images.txt"], 2, &["column 1 numbers the images", "--label-column 1"]);
    for labels in ["@/image_class_labels.txt", "@/train_test_split.txt"] {
        let args = ["--input", "@/images", "--source", "flat", "--labels", labels];
        bed.refuses(&args, 2, &["all columns are numbers", "--input CUB_200_2011/images"]);
    }
    bed.file("ids.csv", b"id,path\n17,images/001.A/a.png\n4,images/002.B/b.png\n");
    bed.refuses(&["--input", "@/ids.csv"], 2, &["column 1 numbers the images"]);
    bed.gives(&["--input", "@/images"], "a.png 001.A, b.png 002.B, c.png 002.B");
}

#[test]
fn lines_of_the_split_are_used() {
    let images = ["train/0.png", "val/0.png", "train/1.png", "val/1.png"];
    let bed = Bed::new(&images, &[("l.txt", "train/0.png 1\nval/0.png 0\ntrain/1.png 0\nval/1.png 1\n")]);
    for input in ["@", "@/val"] {
        bed.gives(&["--input", input, "--split", "val", "--labels", "@/l.txt"], "0.png 0, 1.png 1");
    }
    bed.gives(&["--input", "@", "--split", "train", "--labels", "@/l.txt"], "0.png 1, 1.png 0");
    // As a list, too.
    let said = bed.gives(&["--input", "@/l.txt", "--split", "val"], "0.png 0, 1.png 1");
    assert!(said.contains("left out 2 lines of images in folders of other splits"), "{said}");
    bed.file("only.txt", b"train/0.png 1\ntrain/1.png 0\n");
    bed.refuses(&["--input", "@/val", "--split", "val", "--labels", "@/only.txt"], 65, &["none of the 2 images"]);
    bed.file("metadata.csv", b"file_name,label\ntrain/0.png,1\ntrain/1.png,0\nval/0.png,0\nval/1.png,1\n");
    bed.gives(&["--input", "@", "--split", "val"], "0.png 0, 1.png 1");
    // A column that is called split, with other words too.
    bed.file("l.csv", b"image,class,split\nval/0.png,0,val\nval/1.png,1,val\ntrain/1.png,1,extra\n");
    bed.gives(&["--input", "@/l.csv", "--split", "val"], "0.png 0, 1.png 1");
    bed.refuses(&["--input", "@/l.csv", "--split", "train"], 2, &["no line of the split train", "val"]);
    // CelebA numbers its parts.
    bed.file("l.csv", b"image_id,partition\nval/0.png,0\nval/1.png,1\n");
    bed.refuses(&["--input", "@/l.csv"], 2, &["cannot tell which column holds the class"]);
}

#[test]
fn one_label_is_of_one_image() {
    let bed = Bed::new(&["im/a/0.png", "im/b/0.png", "im/b/1.png"], &[("l.csv", "0.png,cat\n1.png,dog\n")]);
    let args = ["--input", "@/im", "--source", "flat", "--labels", "@/l.csv", "--on-bad", "skip"];
    bed.refuses(&args, 2, &["one label may mean two images", "a/0.png", "b/0.png", "as seen from --input"]);
    bed.file("l.csv", b"a/0.png,cat\n1.png,dog\n");
    let (code, said, records) = bed.pack(&args);
    assert!(code == 3 && records == "0.png cat, 1.png dog", "the other 0.png has no label: {records} {said}");
    let bed = Bed::new(&["im/0.png", "im/0.jpg", "im/1.png"], &[("l.csv", "0,cat\n1,dog\n")]);
    bed.refuses(&["--input", "@/im", "--labels", "@/l.csv"], 2, &["one label may mean two images"]);
    bed.file("l.csv", b"0.png,cat\n0.jpg,dog\n1.png,dog\n");
    bed.gives(&["--input", "@/im", "--labels", "@/l.csv"], "0.jpg dog, 0.png cat, 1.png dog");
}

#[test]
fn label_files_that_contradict_each_other_are_asked_about() {
    let lists = [("im/val.txt", "0.png 1\n1.png 0\n"), ("im/val.csv", "0.png,1\n1.png,1\n")];
    let bed = Bed::new(&FOUR[..2], &lists);
    let val = ["--input", "@/im", "--split", "val"];
    bed.refuses(&val, 2, &["@/im/val.csv and @/im/val.txt", "\"1\" by the first and \"0\" by the second", "--labels @/im/val.csv"]);
    bed.file("im/val.csv", b"0.png,dog\n1.png,cat\n");
    let (code, said, _) = bed.pack(&val);
    assert_eq!(code, 0, "names for the same numbers: {said}");
    let bed = Bed::new(&FOUR[..2], &[("im/labels.csv", "0,a\n1,b\n"), ("labels.csv", "0,b\n1,a\n")]);
    bed.refuses(&["--input", "@/im"], 2, &["@/im/labels.csv and @/labels.csv", "--labels @/labels.csv"]);
    bed.gives(&["--input", "@/im", "--labels", "@/labels.csv"], "0.png b, 1.png a");
    bed.file("labels.csv", b"0,a\n1,b\n2,a\n");
    bed.gives(&["--input", "@/im"], "0.png a, 1.png b");
}

#[test]
fn lines_of_json_are_rows() {
    let four = |label: fn(usize) -> String| -> String {
        (0..4)
            .map(|i| format!("{{\"file_name\": \"{i}.png\", \"text\": \"t{i}\", \"objects\": {{\"bbox\": [1]}}{}}}\n", label(i)))
            .collect()
    };
    let bed = Bed::new(&FOUR, &[("im/metadata.jsonl", &four(|i| format!(", \"label\": {}", i % 2)))]);
    for more in [&["--labels", "@/im/metadata.jsonl"][..], &[]] {
        let said = bed.gives(&[&["--input", "@/im"], more].concat(), "0.png 0, 1.png 1, 2.png 0, 3.png 1");
        assert!(said.contains("(label)"), "{said}");
    }
    bed.file("im/metadata.jsonl", four(|i| format!(", \"label\": [{}.0]", i % 2)).as_bytes());
    bed.gives(&["--input", "@/im"], "0.png 0, 1.png 1, 2.png 0, 3.png 1");
    bed.file("im/metadata.jsonl", four(|i| format!(", \"a\": {}, \"b\": {}", i % 2, i / 2)).as_bytes());
    bed.refuses(&["--input", "@/im"], 2, &["keys a,b,file_name,objects,text; first values 0,0,0.png"]);
    // Captions are no classes.
    bed.file("im/metadata.jsonl", four(|_| String::new()).as_bytes());
    bed.refuses(&["--input", "@/im"], 2, &["cannot tell which column holds the class"]);
    bed.file(
        "im/l.jsonl",
        b"{\"image\": \"0.png\", \"class\": \"b\", \"split\": \"val\"}\n\n{\"image\": \"1.png\", \"class\": \"a\", \"split\": \"train\"}\n",
    );
    bed.gives(&["--input", "@/im/l.jsonl", "--split", "val"], "0.png b");
    for (json, records) in [
        ("[{\"image\": \"0.png\", \"label\": 1},\n {\"image\": \"1.png\", \"label\": 0}]", "0.png 1, 1.png 0"),
        ("{\"0.png\": \"x\", \"1.png\": \"y\"}", "0.png x, 1.png y"),
        ("{\"pie\": [\"0\", \"1\"], \"soup\": [\"2\"]}", "0.png pie, 1.png pie, 2.png soup"),
        (
            "{\"images\": [{\"id\": 5, \"file_name\": \"0.png\"}, {\"id\": 6, \"file_name\": \"1.png\"}], \"categories\": [{\"id\": 9, \"name\": \"Zeb\"}, \
             {\"id\": 3, \"name\": \"Ant\"}], \"annotations\": [{\"image_id\": 6, \"category_id\": 9}, {\"image_id\": 5, \"category_id\": 3}]}",
            "0.png Ant, 1.png Zeb",
        ),
    ] {
        bed.file("im/l.json", json.as_bytes());
        bed.gives(&["--input", "@/im/l.json"], records);
    }
    for (json, words) in [
        ("{\"image\": \"0.png\", \"label\": 1}\n{\"image\": \"1.png\" \"label\": 0}\n", "line 2, column 19: expected `,` or `}`"),
        ("{\"a\": {\"b\": 1}}", "an object with the keys a"),
    ] {
        bed.file("im/l.json", json.as_bytes());
        bed.refuses(&["--input", "@/im/l.json"], 65, &[words, "@/im/l.json"]);
    }
}

/// Food-101, DTD and MIT67 list paths alone, beside the folder of the images.
#[test]
fn lists_of_paths_have_their_classes_in_the_folders() {
    let bed = Bed::new(&["images/pie/1.png", "images/pie/2.png", "images/soup/3.png"], &[("meta/train.txt", "pie/1\npie/2\nsoup/3\n")]);
    let owed = "1.png pie, 2.png pie, 3.png soup";
    let said = bed.gives(&["--input", "@/meta/train.txt"], owed);
    assert!(said.contains("the folders of its images are the 2 classes"), "{said}");
    bed.file("meta/train.txt", b"pie/1.png\npie/2.png\nsoup/3.png\n");
    bed.gives(&["--input", "@/meta/train.txt"], owed);
    bed.file("meta/train.txt", b"pie/1.png\npie/2.png\n");
    bed.refuses(&["--input", "@/meta/train.txt"], 2, &["one folder, \"pie\": no class"]);
    let bed = Bed::new(&["c/in/1.png", "d/in/2.png"], &[("l.txt", "c/in/1.png\nd/in/2.png\n")]);
    bed.refuses(&["--input", "@/l.txt"], 2, &["end alike", "PATH CLASS"]);
    // Places365 begins its paths with a slash.
    let bed = Bed::new(&["a/abbey/1.png", "b/bar/2.png"], &[("l.txt", "/a/abbey/1.png 0\n/b/bar/2.png 1\n")]);
    bed.gives(&["--input", "@/l.txt"], "1.png a, 2.png b");
}

fn class_names(bed: &Bed, name: &str, text: &str) -> [String; 4] {
    bed.file(name, text.as_bytes());
    ["--input", "@/im/l.txt", "--class-names", &format!("@/{name}")].map(str::to_owned)
}

#[test]
fn class_names_of_every_form() {
    let bed = Bed::new(&FOUR[..3], &[("im/l.txt", "0.png 0\n1.png 1\n2.png 2\n")]);
    let gives = |name: &str, text: &str, records: &str| {
        bed.gives(&class_names(&bed, name, text).each_ref().map(String::as_str), records);
    };
    let plain = "0.png zeb, 1.png ant, 2.png cat";
    gives("n.json", "[\"zeb\", \"ant\", \"cat\"]", plain);
    gives("n.json", "{\"2\": \"cat\", \"0\": \"zeb\", \"1\": \"ant\"}", plain);
    gives("n.txt", "{\"0\": \"zeb\", \"1\": [\"ant\", \"Formica\"], \"2\": \"cat\"}", plain);
    gives("n.json", "{\"0\": [\"n02\", \"zeb\"], \"1\": [\"n01\", \"ant\"], \"2\": [\"n03\", \"cat\"]}", "0.png n02, 1.png n01, 2.png n03");
    gives("n.json", "{\"n02\": [\"zeb\", \"z\"], \"n01\": \"ant\", \"n03\": [\"cat\"]}", "0.png n02, 1.png n01, 2.png n03");
    gives("n.json", "{\"ant\": 1, \"zeb\": 0, \"cat\": 2}", plain);
    gives("config.json", "{\"model\": \"x\", \"id2label\": {\"0\": \"zeb\", \"1\": \"ant\", \"2\": \"cat\"}}", plain);
    gives("n.txt", "zeb\rant\rcat\r", plain);
    gives("n.csv", "name\nzeb\nant\ncat\n", plain);
    gives("n.txt", "zeb 0\ncat 2\nant 1\n", plain);
    gives("n.txt", "great white shark\ngreat dane\nhouse cat\n", "0.png great white shark, 1.png great dane, 2.png house cat");
    gives("n.txt", "tench, Tinca tinca\neel\ncat\n", "0.png tench, Tinca tinca, 1.png eel, 2.png cat");
    gives("n.txt", "n02 zeb ra\nn01 ant\nn03 cat\n", "0.png n02, 1.png n01, 2.png n03");
    gives("n.txt", "digit 0\ndigit 1\ndigit 2\n", "0.png digit 0, 1.png digit 1, 2.png digit 2");
    for (name, text, words) in [
        ("n.py", "import os\nCLASSES = ['zeb', 'ant', 'cat']\n", "line 1 looks like Python: \"import os\""),
        ("n.txt", "names = ['zeb',\n 'ant', 'cat']\n", "line 1 looks like Python: \"names = ['zeb',\""),
        ("n.txt", "{0: 'zeb',\n 1: 'ant',\n 2: 'cat'}\n", "line 1 looks like Python: \"{0: 'zeb',\""),
        ("n.txt", "['zeb', 'ant', 'cat']", "line 1 looks like Python"),
        ("data.yaml", "path: x\nnames:\n  0: zeb\n", "line 2 looks like YAML: \"names:\""),
        ("n.json", "{\"0\": \"zeb\", \"1\": \"ant\"", "line 1, column 23: EOF"),
        ("n.json", "{\"0\": \"zeb\", \"2\": \"ant\", \"3\": \"cat\"}", "1 is missing"),
        ("n.json", "{\"zeb\": 1, \"ant\": 2, \"cat\": 3}", "begin with 1"),
        ("n.json", "{\"0\": \"zeb\", \"1\": \"zeb\", \"2\": \"cat\"}", "class zeb is there already"),
        ("n.json", "{\"0\": 1.5}", "the values are no names"),
        ("n.txt", "zeb\nant\n", "line 3: class 2 of 2"),
        ("n.txt", "/a/zeb 1\n/a/ant 2\n/b/cat 3\n", "begin with 1"),
        // Numbers that are names: labels mean them, not their places.
        ("n.json", "{\"1\": \"zeb\", \"2\": \"ant\", \"3\": \"cat\"}", "class 0 is not among the class names"),
        ("n.txt", "1 zeb\n2 ant\n3 cat\n", "class 0 is not among the class names"),
    ] {
        bed.refuses(&class_names(&bed, name, text).each_ref().map(String::as_str), 65, &[words]);
    }
    // Of folders: words for them, all of them.
    let bed = Bed::new(&["f/1/a.png", "f/2/b.png"], &[("n.json", "{\"1\": \"rose\", \"2\": \"lily\"}"), ("few.json", "{\"1\": \"rose\"}")]);
    bed.gives(&["--input", "@/f", "--class-names", "@/n.json"], "a.png 1, b.png 2");
    bed.refuses(&["--input", "@/f", "--class-names", "@/few.json"], 2, &["--class-names knows 1 of 2 classes, and not \"2\""]);
}

/// Lists of datasets that many have, in small: the images, the list, what it gives or is refused with.
#[test]
fn lists_of_known_datasets() {
    type Case = (&'static [&'static str], &'static str, &'static [&'static str], &'static str);
    let cases: [Case; 17] = [
        (&["train/0a.jpg", "train/0b.jpg"], "id,breed\n0a,pug\n0b,boxer\n", &["--input", "@/l.csv"], "0a.jpg pug, 0b.jpg boxer"),
        (
            &["a.jpg", "b.jpg", "c.jpg"],
            "Image,Id\na.jpg,w_1\nb.jpg,w_2\nc.jpg,w_1\n",
            &["--input", "@/l.csv"],
            "a.jpg w_1, b.jpg w_2, c.jpg w_1",
        ),
        (
            &["a.jpg", "b.jpg", "c.jpg"],
            "id,url,landmark_id\na,http://x/1,1\nb,http://x/2,0\nc,http://x/3,1\n",
            &["--input", "@/l.csv"],
            "a.jpg 1, b.jpg 0, c.jpg 1",
        ),
        (&["train_images/0a.png", "train_images/0b.png"], "id_code,diagnosis\n0a,2\n0b,4\n", &["--input", "@/l.csv"], "0a.png 2, 0b.png 4"),
        (
            &["t/1.jpg", "t/2.jpg", "t/3.jpg"],
            "x1,y1,x2,y2,Class,image\n39,116,569,375,14,1.jpg\n36,116,868,587,3,2.jpg\n85,109,601,381,14,3.jpg\n",
            &["--input", "@/t", "--labels", "@/l.csv"],
            "1.jpg 14, 2.jpg 3, 3.jpg 14",
        ),
        (
            &["A/A_1.jpg", "F/F_2.jpg", "F/F_3.jpg"],
            ",Filename,Label,ClassName\n0,A/A_1.jpg,0,Crop\n1,F/F_2.jpg,1,Forest\n2,F/F_3.jpg,1,Forest\n",
            &["--input", "@/l.csv"],
            "A_1.jpg Crop, F_2.jpg Forest, F_3.jpg Forest",
        ),
        (
            &["i/1.png", "i/2.png", "i/3.png"],
            "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n1.png;53;54;6;5;48;49;16\n2.png;42;45;5;5;36;40;1\n3.png;48;52;6;6;43;47;16\n",
            &["--input", "@/i", "--labels", "@/l.csv"],
            "1.png 16, 2.png 1, 3.png 16",
        ),
        (
            &["i/1.png", "i/2.png"],
            "| file | label |\n|---|---|\n| 1.png | a |\n| 2.png | b |\n",
            &["--input", "@/i", "--labels", "@/l.csv"],
            "1.png a, 2.png b",
        ),
        (&["g/a 1.jpg", "d/b.jpg"], "g/a 1.jpg\nd/b.jpg\n", &["--input", "@/l.csv"], "a 1.jpg g, b.jpg d"),
        (
            &["i/1.png", "i/2.png", "i/3.png"],
            "1.png great white shark\n2.png house cat\n3.png house cat\n",
            &["--input", "@/i", "--labels", "@/l.csv"],
            "1.png great white shark, 2.png house cat, 3.png house cat",
        ),
        (
            &["i/1.png", "i/2.png"],
            "1.png house cat\n2.png house dog\n",
            &["--input", "@/i", "--labels", "@/l.csv"],
            "!2 class of several words",
        ),
        (
            &["0817/a.jpg", "0860/b.jpg"],
            "0000139e-21dc 0817/a.jpg\n0000d9fc-4e02 0860/b.jpg\n",
            &["--input", "@/l.csv"],
            "!2 numbers the images",
        ),
        (&["i/1.png", "i/2.png"], "001 1\n002 0\n", &["--input", "@/i", "--labels", "@/l.csv"], "!2 numbers the images"),
        (&["a.jpg", "b.jpg"], "image_id,healthy,rust\na,0,1\nb,1,0\n", &["--input", "@/l.csv"], "!2 --label-column 2, or --label-column 3"),
        (
            &["a.jpg", "b.jpg"],
            "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,4,4,cat,0,0,1,1\na.jpg,4,4,dog,0,0,1,1\nb.jpg,4,4,dog,0,0,1,1\n",
            &["--input", "@/l.csv"],
            "!65 a.jpg is there twice",
        ),
        (&["a.jpg", "b.jpg"], "MATLAB 5.0 MAT-file\u{0}", &["--input", "@/l.csv"], "!65 a MATLAB file"),
        (&["x/a.jpg"], "/home/me/a.jpg 1\n/home/me/b.jpg 0\n", &["--input", "@/l.csv"], "!65 the first is \"/home/me/a.jpg\""),
    ];
    for (images, list, args, owed) in cases {
        let bed = Bed::new(images, &[("l.csv", list)]);
        match owed.strip_prefix('!').and_then(|o| o.split_once(' ')) {
            Some((code, words)) => bed.refuses(args, code.parse().unwrap(), &[words]),
            None => drop(bed.gives(args, owed)),
        }
    }
    let bed = Bed::new(&["i/1.png", "i/2.png"], &[("l.csv", "1.png,Cat\n2.png,cat\n")]);
    let said = bed.gives(&["--input", "@/i", "--labels", "@/l.csv"], "1.png Cat, 2.png cat");
    assert!(said.contains("classes \"Cat\" and \"cat\" differ in case alone"), "{said}");
}

/// Notes are about the data, whatever is shown of the progress.
#[test]
fn notes_do_not_depend_on_progress() {
    let bed = Bed::new(&["val/cat/0.png", "val/dog/1.png"], &[]);
    let said = bed.gives(&["--input", "@/val", "--progress", "none"], "0.png cat, 1.png dog");
    assert!(said.contains("packed as the split val, as @/val is named") && !said.contains("hashing"), "{said}");
    let plain = bed.gives(&["--input", "@/val", "--progress", "plain"], "0.png cat, 1.png dog");
    assert!(plain.len() > said.len(), "{plain}");
}

#[test]
fn flags_of_the_source_need_a_source() {
    let out = Path::new("nowhere").display().to_string();
    let (code, said) = super::common::call(&["verify", &out, "--labels", "x.csv"]);
    assert!(code == 2 && said.contains("--repair-from"), "{said}");
}

/// Lines of another split label no image of this one, in an archive as in its folder.
#[test]
fn lines_of_another_split_label_nothing_in_archives_either() {
    let images = ["ds/train/0.png", "ds/train/1.png", "ds/val/0.png", "ds/val/1.png"];
    let bed = Bed::new(&images, &[("ds/labels.csv", "train/0.png,cat\ntrain/1.png,dog\n")]);
    let mut archive = tar::Builder::new(std::fs::File::create(bed.at("ds.tar")).unwrap());
    archive.append_dir_all("", bed.at("ds")).unwrap();
    archive.finish().unwrap();
    std::fs::create_dir(bed.at("one")).unwrap();
    std::fs::copy(bed.at("ds.tar"), bed.at("one/ds.tar")).unwrap();
    for input in ["@/ds", "@/ds.tar", "@/one/ds.tar", "@/ds/val", "@/ds.tar/val"] {
        bed.refuses(&["--input", input, "--split", "val"], 65, &["none of the 2 images"]);
    }
    for input in ["@/ds", "@/ds.tar"] {
        bed.gives(&["--input", input, "--split", "train"], "0.png cat, 1.png dog");
    }
}
