//! The asset graph of a region: the same rows at every start.
//!
//! Every personal value is unique and recognisable, so that a test can search any output for it:
//! e-mail `name@tenant.region.example`, phone from the ranges reserved for fiction, salary from
//! 731 000 001 up, national id `NID-TENANT-REGION-000N`, coordinates that end in `73nnn1`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::Region;

/// Assets of each tenant.
pub const ASSETS_PER_TENANT: usize = 24;

/// People of each tenant: name, local part of the address.
type Names = [(&'static str, &'static str); 6];

const ACME: Names = [
    ("Ada Lovelace", "ada.lovelace"),
    ("Emil Novák", "emil.novak"),
    ("Sofia Rossi", "sofia.rossi"),
    ("Jürgen Weiß", "juergen.weiss"),
    ("Chloé Martin", "chloe.martin"),
    ("Piotr Zieliński", "piotr.zielinski"),
];
const GLOBEX: Names = [
    ("Hanna Virtanen", "hanna.virtanen"),
    ("Luis Ortega", "luis.ortega"),
    ("Ingrid Dahl", "ingrid.dahl"),
    ("Nuno Alves", "nuno.alves"),
    ("Katarína Vlková", "katarina.vlkova"),
    ("Bram de Vries", "bram.devries"),
];
const INITECH: Names = [
    ("Grace Hopper", "grace.hopper"),
    ("Marcus Reed", "marcus.reed"),
    ("Dana Whitfield", "dana.whitfield"),
    ("Omar Haddad", "omar.haddad"),
    ("Lily Chen", "lily.chen"),
    ("Samuel \"Sam\" O'Neil", "sam.oneil"),
];
const UMBRELLA: Names = [
    ("Ruth Castillo", "ruth.castillo"),
    ("Wade Turner", "wade.turner"),
    ("Nia Okafor", "nia.okafor"),
    ("Cole Bennett", "cole.bennett"),
    ("Priya Raman", "priya.raman"),
    ("Zoë Marsh", "zoe.marsh"),
];
const HOOLI: Names = [
    ("佐藤 花子", "hanako.sato"),
    ("Arjun Mehta", "arjun.mehta"),
    ("Li Wei 李伟", "wei.li"),
    ("Nguyễn Thị Lan", "lan.nguyen"),
    ("Mia Thompson", "mia.thompson"),
    ("김민준", "minjun.kim"),
];
const WONKA: Names = [
    ("Charlotte Ngata", "charlotte.ngata"),
    ("Budi Santoso", "budi.santoso"),
    ("Aroha Williams", "aroha.williams"),
    ("Somchai Prasert", "somchai.prasert"),
    ("Isla Mackenzie", "isla.mackenzie"),
    ("高橋 健", "ken.takahashi"),
];

const KINDS: [&str; 8] = [
    "Spectrum analyser",
    "Forklift",
    "Edge router",
    "Laser cutter",
    "Cold store",
    "Delivery van",
    "Badge printer",
    "Diesel generator",
];

/// City, country and its coordinates to two decimals.
type City = (&'static str, &'static str, &'static str, &'static str);

/// How far along its life an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "AssetStatus")]
pub(crate) enum Status {
    Active,
    InRepair,
    Retired,
    Lost,
}

/// What a person does in the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub(crate) enum Role {
    Employee,
    Manager,
    Director,
}

#[derive(Debug)]
pub(crate) struct PersonRow {
    pub id: String,
    pub tenant: &'static str,
    pub name: &'static str,
    pub email: String,
    pub phone: String,
    pub salary: i32,
    pub national_id: String,
    pub birth_date: String,
    pub roles: Vec<Role>,
    pub manager: Option<String>,
}

#[derive(Debug)]
pub(crate) struct VendorRow {
    pub id: String,
    pub tenant: &'static str,
    pub name: String,
    pub email: String,
    pub phone: String,
    pub website: String,
    pub account: String,
}

#[derive(Debug, Clone)]
pub(crate) struct LocationRow {
    pub city: &'static str,
    pub country: &'static str,
    pub latitude: f64,
    pub longitude: f64,
}

#[derive(Debug, Clone)]
pub(crate) struct AssetRow {
    pub id: String,
    pub tenant: &'static str,
    pub name: String,
    pub serial: String,
    pub value_cents: i32,
    pub status: Status,
    pub tags: Vec<&'static str>,
    pub owner: Option<String>,
    pub custodians: Vec<String>,
    pub vendor: Option<String>,
    pub location: Option<LocationRow>,
    pub notes: Option<String>,
    pub metadata: Value,
    pub email: String,
    pub created_at: String,
}

/// The rows of a region, in a fixed order: by tenant, then by number.
#[derive(Debug)]
pub(crate) struct Rows {
    pub people: Vec<Arc<PersonRow>>,
    pub vendors: Vec<Arc<VendorRow>>,
    pub assets: Vec<Arc<AssetRow>>,
}

impl Rows {
    pub(crate) fn of(region: Region) -> Self {
        let mut rows = Self {
            people: Vec::new(),
            vendors: Vec::new(),
            assets: Vec::new(),
        };
        for (index, tenant) in region.tenants().into_iter().enumerate() {
            let home = Home {
                region,
                tenant,
                index,
            };
            rows.people.extend((0..6).map(|n| Arc::new(home.person(n))));
            rows.vendors
                .extend((0..2).map(|n| Arc::new(home.vendor(n))));
            rows.assets
                .extend((0..ASSETS_PER_TENANT).map(|n| Arc::new(home.asset(n))));
        }
        rows
    }
}

/// A tenant at home: what its rows are named after.
struct Home {
    region: Region,
    tenant: &'static str,
    /// Its place among the region's tenants.
    index: usize,
}

impl Home {
    fn person(&self, n: usize) -> PersonRow {
        let (name, local) = self.names()[n];
        let roles = match n {
            0 => vec![Role::Director, Role::Manager],
            1 => vec![Role::Manager],
            _ => vec![Role::Employee],
        };
        PersonRow {
            id: self.person_id(n),
            tenant: self.tenant,
            name,
            email: self.address(local),
            phone: self.phone(n),
            salary: self.salary(n),
            national_id: format!(
                "NID-{}-{}-{:04}",
                self.tenant.to_uppercase(),
                self.region.as_str().to_uppercase(),
                n + 1
            ),
            birth_date: format!("19{}-0{}-1{}T00:00:00Z", 70 + n, n + 1, n),
            roles,
            manager: match n {
                0 => None,
                1 => Some(self.person_id(0)),
                _ => Some(self.person_id(1)),
            },
        }
    }

    fn vendor(&self, n: usize) -> VendorRow {
        let (name, local) = [
            ("Northwind Supplies", "northwind"),
            ("Contoso Repair", "contoso"),
        ][n];
        VendorRow {
            id: format!("{}-vendor-{}", self.tenant, n + 1),
            tenant: self.tenant,
            name: format!("{name} ({})", self.region),
            email: self.address(local),
            phone: self.phone(10 + n),
            website: format!("https://{local}.example/{}", self.tenant),
            account: self.person_id(2 + n),
        }
    }

    fn asset(&self, n: usize) -> AssetRow {
        let kind = KINDS[n % KINDS.len()];
        let number = n + 1;
        AssetRow {
            id: format!("{}-asset-{number:03}", self.tenant),
            tenant: self.tenant,
            name: format!("{kind} {number:02}"),
            serial: format!(
                "SN-{}-{number:05}",
                self.tenant.to_uppercase().get(..3).unwrap_or_default()
            ),
            value_cents: i32::try_from(12_500 + 98_765 * number % 4_000_000).unwrap_or(i32::MAX),
            status: match n % 12 {
                5 => Status::InRepair,
                7 => Status::Retired,
                11 => Status::Lost,
                _ => Status::Active,
            },
            tags: ["field", "leased", "critical", "indoor"]
                .into_iter()
                .enumerate()
                .filter(|(bit, _)| n >> bit & 1 == 1)
                .map(|(_, tag)| tag)
                .collect(),
            owner: (n % 5 != 4).then(|| self.person_id(n % 6)),
            custodians: (0..n % 3)
                .map(|k| self.person_id((n + k + 1) % 6))
                .collect(),
            vendor: (n % 4 != 3).then(|| format!("{}-vendor-{}", self.tenant, n % 2 + 1)),
            location: (n % 7 != 6).then(|| self.location(n)),
            notes: match n % 4 {
                0 => None,
                1 => Some(format!(
                    "Inspected; see \"log {number}\"\n\\shelf\\{number}\t✓"
                )),
                2 => Some("Do not move \u{1f6ab} before the audit".to_owned()),
                _ => Some(String::new()),
            },
            metadata: json!({
                "firmware": format!("{}.{}.0", n % 3, n % 10),
                "ports": [n, n + 1],
                "calibrated": n.is_multiple_of(2),
                "bench": {"row": n / 4, "slot": n % 4},
            }),
            email: self.address(&format!(
                "{}-{number:02}",
                kind.to_lowercase().replace(' ', "-")
            )),
            created_at: format!("2025-{:02}-{:02}T08:30:00Z", n % 12 + 1, n + 1),
        }
    }

    fn location(&self, n: usize) -> LocationRow {
        const EU: [City; 2] = [
            ("Berlin", "DE", "52.52", "13.40"),
            ("Lisboa", "PT", "38.72", "-9.14"),
        ];
        const US: [City; 2] = [
            ("Columbus", "US", "39.96", "-82.99"),
            ("Portland", "US", "45.51", "-122.67"),
        ];
        const APAC: [City; 2] = [
            ("Sydney", "AU", "-33.86", "151.20"),
            ("東京", "JP", "35.67", "139.65"),
        ];
        let cities = match self.region {
            Region::Eu => EU,
            Region::Us => US,
            Region::Apac => APAC,
        };
        let (city, country, latitude, longitude) = cities[n % cities.len()];
        // Digits are appended, not added: the sum would not print as they were written.
        let precise = |base: &str, mark: usize| {
            format!("{base}73{:03}1", mark + self.index * 100 + n)
                .parse()
                .unwrap_or_default()
        };
        LocationRow {
            city,
            country,
            latitude: precise(latitude, 100),
            longitude: precise(longitude, 500),
        }
    }

    fn names(&self) -> &'static Names {
        match (self.region, self.index) {
            (Region::Eu, 0) => &ACME,
            (Region::Eu, _) => &GLOBEX,
            (Region::Us, 0) => &INITECH,
            (Region::Us, _) => &UMBRELLA,
            (Region::Apac, 0) => &HOOLI,
            (Region::Apac, _) => &WONKA,
        }
    }

    fn person_id(&self, n: usize) -> String {
        format!("{}-person-{}", self.tenant, n + 1)
    }

    fn address(&self, local: &str) -> String {
        format!("{local}@{}.{}.example", self.tenant, self.region)
    }

    /// Numbers that the regulators of the UK, North America and Australia keep for fiction.
    fn phone(&self, n: usize) -> String {
        let n = self.index * 20 + n;
        match self.region {
            Region::Eu => format!("+44 7700 900{n:03}"),
            Region::Us => format!("+1 202 555 01{n:02}"),
            Region::Apac => format!("+61 491 570 {n:03}"),
        }
    }

    /// Nine digits: fewer turn up in a hash by chance.
    fn salary(&self, n: usize) -> i32 {
        let region = match self.region {
            Region::Eu => 0,
            Region::Us => 1,
            Region::Apac => 2,
        };
        i32::try_from(731_000_001 + region * 100_000 + self.index * 10_000 + n * 707)
            .unwrap_or(i32::MAX)
    }
}

/// Every personal value in a region's data, as it is written in a JSON body (strings unquoted).
///
/// A masked response holds none of them, wherever in the response one looks.
#[must_use]
pub fn secrets(region: Region) -> Vec<String> {
    let rows = Rows::of(region);
    let people = rows.people.iter().flat_map(|person| {
        [
            person.email.clone(),
            person.phone.clone(),
            person.salary.to_string(),
            person.national_id.clone(),
        ]
    });
    let vendors = rows
        .vendors
        .iter()
        .flat_map(|vendor| [vendor.email.clone(), vendor.phone.clone()]);
    let assets = rows.assets.iter().flat_map(|asset| {
        let place = asset.location.iter().flat_map(|location| {
            [
                location.latitude.to_string(),
                location.longitude.to_string(),
            ]
        });
        std::iter::once(asset.email.clone()).chain(place)
    });
    people.chain(vendors).chain(assets).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_personal_value_is_there_twice_in_any_region() {
        let mut seen = HashSet::new();
        for secret in Region::ALL.into_iter().flat_map(secrets) {
            assert!(secret.len() >= 7, "{secret} is too short to search for");
            assert!(seen.insert(secret.clone()), "{secret} is there twice");
        }
        assert!(seen.len() > 200);
    }

    #[test]
    fn every_reference_leads_to_a_row_of_the_same_tenant() {
        for region in Region::ALL {
            let rows = Rows::of(region);
            let person = |id: &str| {
                rows.people
                    .iter()
                    .find(|row| row.id == id)
                    .map(|row| row.tenant)
            };
            for asset in &rows.assets {
                for id in asset.owner.iter().chain(&asset.custodians) {
                    assert_eq!(person(id), Some(asset.tenant));
                }
            }
            for row in &rows.people {
                if let Some(manager) = &row.manager {
                    assert_eq!(person(manager), Some(row.tenant));
                }
            }
            for vendor in &rows.vendors {
                assert_eq!(person(&vendor.account), Some(vendor.tenant));
            }
        }
    }
}
