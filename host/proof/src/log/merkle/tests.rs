//! The vectors of the Certificate Transparency reference code, and the definitions of RFC 6962 taken
//! literally as an oracle.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|t| hex(t).try_into().unwrap()).collect()
}

const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn tree() -> Tree {
    let mut tree = Tree::new();
    for leaf in LEAVES {
        tree.push(leaf_hash(&hex(leaf)));
    }
    tree
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let tree = tree();
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(tree.root_at(size as u64).unwrap().to_vec(), hex(root));
    }
    assert_eq!(tree.root().to_vec(), hex(ROOTS[8]));
    assert_eq!(
        tree.root_at(9),
        Err(TreeError::Outside { size: 8, asked: 9 })
    );
}

#[test]
fn paths_are_those_of_certificate_transparency() {
    let tree = tree();
    for (index, size, want) in [
        (0, 1, &[][..]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            3,
            &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        ),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ] {
        assert_eq!(
            tree.inclusion(index, size).unwrap(),
            hashes(want),
            "{index} {size}"
        );
    }
    for (first, second, want) in [
        (1, 1, &[][..]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ] {
        assert_eq!(
            tree.consistency(first, second).unwrap(),
            hashes(want),
            "{first} {second}"
        );
    }
}

/// RFC 6962, section 2.1, word for word.
fn mth(data: &[Vec<u8>]) -> Hash {
    match data {
        [] => Sha256::digest([]).into(),
        [one] => leaf_hash(one),
        _ => {
            let mut k = 1;
            while k * 2 < data.len() {
                k *= 2;
            }
            node_hash(&mth(&data[..k]), &mth(&data[k..]))
        }
    }
}

#[test]
fn every_proof_of_a_small_tree_holds_and_no_other_does() {
    let data: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; usize::from(n)]).collect();
    let mut tree = Tree::new();
    for leaf in &data {
        tree.push(leaf_hash(leaf));
    }
    let roots: Vec<Hash> = (0..=data.len()).map(|n| mth(&data[..n])).collect();
    for size in 0..=40_u64 {
        let root = &roots[size as usize];
        assert_eq!(tree.root_at(size).unwrap(), *root);
        for index in 0..size {
            let path = tree.inclusion(index, size).unwrap();
            let leaf = leaf_hash(&data[index as usize]);
            assert!(verify_inclusion(&leaf, index, size, &path, root));
            let other = leaf_hash(b"another");
            assert!(!verify_inclusion(&other, index, size, &path, root));
            for n in 0..path.len() {
                let mut path = path.clone();
                path[n][0] ^= 1;
                assert!(!verify_inclusion(&leaf, index, size, &path, root));
                path.truncate(n);
                assert!(!verify_inclusion(&leaf, index, size, &path, root));
            }
            let longer = [path, vec![other]].concat();
            assert!(!verify_inclusion(&leaf, index, size, &longer, root));
        }
        for first in 0..=size {
            let path = tree.consistency(first, size).unwrap();
            let old = &roots[first as usize];
            assert!(
                verify_consistency((first, old), (size, root), &path),
                "{first} {size}"
            );
            let forged = leaf_hash(b"another");
            assert!(!verify_consistency((first, &forged), (size, root), &path));
            if first > 0 {
                assert!(!verify_consistency((first, old), (size, &forged), &path));
            }
            for n in 0..path.len() {
                let mut path = path.clone();
                path[n][31] ^= 1;
                assert!(!verify_consistency((first, old), (size, root), &path));
                path.remove(n);
                assert!(!verify_consistency((first, old), (size, root), &path));
            }
            let longer = [path, vec![forged]].concat();
            assert!(!verify_consistency((first, old), (size, root), &longer));
            assert!(first == size || !verify_consistency((size, root), (first, old), &longer));
        }
    }
    assert!(!verify_inclusion(&roots[1], 0, 0, &[], &roots[0]));
    assert_eq!(
        tree.consistency(3, 2),
        Err(TreeError::Outside { size: 2, asked: 3 })
    );
    assert_eq!(
        tree.inclusion(2, 2),
        Err(TreeError::Outside { size: 2, asked: 2 })
    );
}
