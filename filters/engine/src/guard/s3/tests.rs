use super::EgressOperation::{Delete, Read, Write};
use super::*;

fn request(
    method: &str,
    host: &str,
    path: &str,
    more: &[(&str, &str)],
) -> Result<Request, &'static str> {
    let fixed = [(":method", method), (":authority", host), (":path", path)];
    let headers: Vec<(String, Vec<u8>)> = fixed
        .iter()
        .chain(more)
        .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
        .collect();
    let hosts = ["s3.test", "eu.s3.test", "127.0.0.1"].map(str::to_owned);
    read(Headers(&headers), &hosts).map_err(|u| u.code)
}

#[test]
fn buckets_are_found_in_path_and_host() {
    for (method, host, path, bucket, operation) in [
        ("GET", "s3.test", "/acme-data/a/b", "acme-data", Read),
        ("HEAD", "127.0.0.1:9000", "/acme-data", "acme-data", Read),
        (
            "GET",
            "S3.test:80",
            "/acme-data/?list-type=2",
            "acme-data",
            Read,
        ),
        ("PUT", "acme-data.s3.test", "/a//b", "acme-data", Write),
        ("PUT", "acme.data.s3.test:9000", "/", "acme.data", Write),
        ("PUT", "acme.eu.s3.test", "/k", "acme", Write),
        ("GET", "acme-data.s3.test", "/", "acme-data", Read),
        ("POST", "s3.test", "/b/k?uploads", "b", Write),
        ("POST", "s3.test", "/b?delete", "b", Delete),
        ("POST", "s3.test", "/b/?delete=", "b", Delete),
        ("POST", "s3.test", "/b?delete=1", "b", Delete),
        ("POST", "b.s3.test", "/?x-id=1&delete=true", "b", Delete),
        // Of an object there is no such request.
        ("POST", "s3.test", "/b/k?delete&select", "b", Write),
        ("PUT", "s3.test", "/b?delete", "b", Write),
        ("POST", "s3.test", "/b?deleted", "b", Write),
        ("DELETE", "s3.test", "/b/k?versionId=1", "b", Delete),
        ("GET", "s3.test", "/b/k..txt/...", "b", Read),
        ("GET", "s3.test", "/b?replication", "b", Read),
    ] {
        let want = Request {
            operation,
            objects: vec![(bucket.to_owned(), operation)],
        };
        assert_eq!(
            request(method, host, path, &[]),
            Ok(want),
            "{method} {host} {path}"
        );
    }
}

#[test]
fn a_copy_reads_another_bucket() {
    for source in [
        "other/key",
        "/other/key",
        "other%2Fkey",
        "/other/a%20b?versionId=1",
    ] {
        let got = request("PUT", "s3.test", "/b/k", &[("x-amz-copy-source", source)]).unwrap();
        let want = [("b".to_owned(), Write), ("other".to_owned(), Read)];
        assert_eq!(got.objects, want, "{source}");
    }
    for source in [
        "",
        "other",
        "other/",
        "//other/key",
        "/",
        "oth%65r/key",
        "other/../more/key",
        "other/%2e%2e/more/key",
        "arn:aws:s3:eu-west-1:1:accesspoint/mine/object/key",
    ] {
        let got = request("PUT", "s3.test", "/b/k", &[("x-amz-copy-source", source)]);
        assert_eq!(got, Err(MALFORMED), "{source}");
    }
    let twice = [
        ("x-amz-copy-source", "b/k"),
        ("X-Amz-Copy-Source", "other/k"),
    ];
    assert_eq!(request("PUT", "s3.test", "/b/k", &twice), Err(MALFORMED));
}

#[test]
fn what_could_lead_elsewhere_is_not_passed_on() {
    for (method, host, path, code) in [
        ("GET", "s3.test", "/", "S3_LIST_BUCKETS"),
        ("GET", "s3.test", "/?x-id=ListBuckets", "S3_LIST_BUCKETS"),
        ("POST", "s3.test", "/", "S3_LIST_BUCKETS"),
        ("GET", "s3.test", "//b/k", MALFORMED),
        ("GET", "s3.test", "/b%2f/k", MALFORMED),
        ("GET", "s3.test", "/../b/k", MALFORMED),
        ("GET", "s3.test", "/b/../c/k", MALFORMED),
        ("GET", "s3.test", "/b/%2e%2E/c/k", MALFORMED),
        ("GET", "s3.test", "/b/..%2fc/k", MALFORMED),
        ("GET", "s3.test", "/b/..\\c", MALFORMED),
        ("GET", "s3.test", "*", MALFORMED),
        ("OPTIONS", "s3.test", "/b/k", MALFORMED),
        ("CONNECT", "s3.test", "/b/k", MALFORMED),
        ("GET", "other.test", "/b/k", "S3_HOST_UNKNOWN"),
        ("GET", "evils3.test", "/b/k", "S3_HOST_UNKNOWN"),
        ("GET", "", "/b/k", "S3_HOST_UNKNOWN"),
        ("GET", "s3.test.", "/b/k", "S3_HOST_UNKNOWN"),
        ("GET", "..s3.test", "/k", MALFORMED),
        // For the store this is the bucket `acme-data.`, whatever it does with that.
        ("GET", "acme-data..s3.test", "/k", MALFORMED),
        ("GET", "acme..data.s3.test", "/k", MALFORMED),
        ("GET", "s3.test", "/acme-data./k", MALFORMED),
        ("PUT", "s3.test", "/b?replication", "S3_SENDS_ELSEWHERE"),
        ("PUT", "b.s3.test", "/?notification=", "S3_SENDS_ELSEWHERE"),
        (
            "PUT",
            "b.s3.test",
            "/?x=1&inventory&id=1",
            "S3_SENDS_ELSEWHERE",
        ),
        ("PUT", "b.s3.test", "/?replicatio%6e", "S3_SENDS_ELSEWHERE"),
        ("POST", "s3.test", "/b?delet%65", "S3_SENDS_ELSEWHERE"),
        (
            "POST",
            "s3.test",
            "/b?delete&metadataConfiguration",
            "S3_SENDS_ELSEWHERE",
        ),
        (
            "POST",
            "s3.test",
            "/b?delete&metadataTabl%65=",
            "S3_SENDS_ELSEWHERE",
        ),
    ] {
        assert_eq!(
            request(method, host, path, &[]),
            Err(code),
            "{method} {host} {path}"
        );
    }
}
