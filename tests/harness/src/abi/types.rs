//! Numbers that cross the boundary between host and guest.

use std::fmt;

/// What a host call returns to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// There is no such key, property, metric, queue or function.
    NotFound = 1,
    /// An argument is out of range, or the thing it names cannot be used now.
    BadArgument = 2,
    /// A value has no encoding.
    SerializationFailure = 3,
    /// A value could not be decoded.
    ParseFailure = 4,
    /// A pointer and length outside of the guest's memory.
    InvalidMemoryAccess = 6,
    /// A shared queue holds nothing.
    Empty = 7,
    /// Shared data was changed by another writer.
    CasMismatch = 8,
    /// The host failed.
    InternalFailure = 10,
    /// The host knows the call and does not do it for this kind of stream.
    Unimplemented = 12,
}

/// Version of the ABI that a module announces by exporting `proxy_abi_version_X_Y_Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AbiVersion {
    /// 0.1.0
    V0_1_0,
    /// 0.2.0
    V0_2_0,
    /// 0.2.1
    V0_2_1,
}

impl AbiVersion {
    /// Every known version with the name of the export that announces it, newest first.
    pub const EXPORTS: [(&'static str, AbiVersion); 3] = [
        ("proxy_abi_version_0_2_1", AbiVersion::V0_2_1),
        ("proxy_abi_version_0_2_0", AbiVersion::V0_2_0),
        ("proxy_abi_version_0_1_0", AbiVersion::V0_1_0),
    ];
}

macro_rules! number_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum $name { $($(#[$vmeta])* $variant = $value,)+ }

        impl $name {
            /// The variant with this number in the ABI.
            pub fn from_number(number: i32) -> Option<Self> {
                match number { $($value => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

number_enum! {
    /// Severity of a log line.
    LogLevel {
        /// Most detailed.
        Trace = 0,
        /// For debugging.
        Debug = 1,
        /// Normal operation.
        Info = 2,
        /// Something unexpected that is survived.
        Warn = 3,
        /// Something failed.
        Error = 4,
        /// The filter cannot go on.
        Critical = 5,
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        })
    }
}

number_enum! {
    /// Which side of which kind of stream a call means.
    StreamType {
        /// The HTTP request.
        HttpRequest = 0,
        /// The HTTP response.
        HttpResponse = 1,
        /// Bytes from the client.
        Downstream = 2,
        /// Bytes from the upstream.
        Upstream = 3,
    }
}

number_enum! {
    /// Which buffer a call means.
    BufferType {
        /// Body of the HTTP request.
        HttpRequestBody = 0,
        /// Body of the HTTP response.
        HttpResponseBody = 1,
        /// Bytes from the client of a TCP connection.
        DownstreamData = 2,
        /// Bytes from the upstream of a TCP connection.
        UpstreamData = 3,
        /// Body of the answer to an HTTP callout.
        HttpCallResponseBody = 4,
        /// Message received on a gRPC callout.
        GrpcReceiveBuffer = 5,
        /// Configuration of the VM.
        VmConfiguration = 6,
        /// Configuration of the plugin.
        PluginConfiguration = 7,
        /// Arguments of a foreign function that the host calls in the guest.
        CallData = 8,
    }
}

number_enum! {
    /// Which header map a call means.
    MapType {
        /// Headers of the HTTP request.
        HttpRequestHeaders = 0,
        /// Trailers of the HTTP request.
        HttpRequestTrailers = 1,
        /// Headers of the HTTP response.
        HttpResponseHeaders = 2,
        /// Trailers of the HTTP response.
        HttpResponseTrailers = 3,
        /// Initial metadata of a gRPC callout.
        GrpcReceiveInitialMetadata = 4,
        /// Trailing metadata of a gRPC callout.
        GrpcReceiveTrailingMetadata = 5,
        /// Headers of the answer to an HTTP callout.
        HttpCallResponseHeaders = 6,
        /// Trailers of the answer to an HTTP callout.
        HttpCallResponseTrailers = 7,
    }
}

number_enum! {
    /// Kind of a metric.
    MetricType {
        /// Only grows.
        Counter = 0,
        /// Goes up and down.
        Gauge = 1,
        /// A distribution.
        Histogram = 2,
    }
}

number_enum! {
    /// Who closed a TCP connection.
    PeerType {
        /// Not known.
        Unknown = 0,
        /// The proxy.
        Local = 1,
        /// The other side.
        Remote = 2,
    }
}
