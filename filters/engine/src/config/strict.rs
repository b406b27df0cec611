//! Settings are objects. serde's structs can also be read from arrays, member by member, so that `[]`
//! would be all the defaults and `["shadow"]` would switch the masking off.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor,
};

/// Reads JSON in which what is a struct must be an object, at every depth.
///
/// # Errors
/// It is not JSON, or not of the type; with line and column.
pub fn from_slice<'de, T: Deserialize<'de>>(json: &'de [u8]) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let value = from(&mut json)?;
    json.end()?;
    Ok(value)
}

/// The same, from any format.
///
/// # Errors
/// It is not of the type.
pub fn from<'de, T: Deserialize<'de>, D: Deserializer<'de>>(format: D) -> Result<T, D::Error> {
    T::deserialize(Strict {
        inner: format,
        object: false,
    })
}

/// A deserializer, seed, visitor or access whose structs are read from objects only.
struct Strict<T> {
    inner: T,
    /// For a visitor: whether it wants a struct.
    object: bool,
}

fn strict<T>(inner: T) -> Strict<T> {
    Strict {
        inner,
        object: false,
    }
}

macro_rules! forward {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$name(strict(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    forward! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq
        deserialize_map deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Strict {
            inner: visitor,
            object: true,
        };
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, strict(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_newtype_struct(name, strict(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(len, strict(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = strict(visitor);
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = strict(visitor);
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($name:ident $ty:ty),* $(,)?) => {
        $(fn $name<E: de::Error>(self, value: $ty) -> Result<V::Value, E> {
            self.inner.$name(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object {
            return f.write_str("an object, `{…}`");
        }
        self.inner.expecting(f)
    }

    visit! {
        visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str,
        visit_borrowed_str &'de str, visit_string String, visit_bytes &[u8],
        visit_borrowed_bytes &'de [u8], visit_byte_buf Vec<u8>,
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(strict(value))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(strict(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        if self.object {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        self.inner.visit_seq(strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(strict(members))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, value: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(value)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(strict(value))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(strict(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(strict(seed))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{MaskingSettings, Mode};

    fn read(json: &str) -> Result<MaskingSettings, String> {
        super::from_slice(json.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn settings_are_objects() {
        assert_eq!(read("{}"), Ok(MaskingSettings::default()));
        assert_eq!(read(r#"{"mode":"shadow"}"#).unwrap().mode, Mode::Shadow);
        let route = r#"{"routes":[{"name":"a","path":"/a","type":"T","pass":["x"],"columns":{"m":"T.m"}}]}"#;
        assert_eq!(read(route).unwrap().routes[0].pass, ["x"]);
        for bad in [
            "[]",
            r#"["shadow"]"#,
            r#"{"graphql":[]}"#,
            r#"{"graphql":[true,10,true,false,{}]}"#,
            r#"{"routes":[["a","/a",["GET"],"rest","auto","T","",[],{}]]}"#,
        ] {
            // serde alone takes it, so this test could not fail otherwise.
            assert!(
                serde_json::from_str::<MaskingSettings>(bad).is_ok(),
                "{bad}"
            );
            let error = read(bad).unwrap_err();
            assert!(
                error.contains("expected an object") && error.contains("line 1"),
                "{bad}: {error}"
            );
        }
        for bad in [
            "",
            "null",
            "{} {}",
            r#"{"mode":"shadow","mode":"enforce"}"#,
            r#"{"x":1}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
