// One Elasticsearch 7.10.2 node for machines without a container registry.
//
// Elasticsearch's clients refuse a server that does not send X-Elastic-Product, which it does since 7.14, and they name
// their media type application/vnd.elasticsearch+json, which it reads since 8. This node does both, and no more: what
// came with later versions is not there. It serves the laptop target and the tests; sockets are Elasticsearch's own.
import io.netty.channel.Channel;
import io.netty.channel.ChannelDuplexHandler;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelPromise;
import io.netty.handler.codec.http.HttpMessage;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponse;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.function.Supplier;
import org.elasticsearch.common.network.NetworkService;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.util.BigArrays;
import org.elasticsearch.common.util.PageCacheRecycler;
import org.elasticsearch.common.xcontent.NamedXContentRegistry;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.http.netty4.Netty4HttpServerTransport;
import org.elasticsearch.indices.breaker.CircuitBreakerService;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.threadpool.ThreadPool;
import org.elasticsearch.transport.Netty4Plugin;
import org.elasticsearch.transport.SharedGroupFactory;

public final class Server {
    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2) {
            System.err.println("usage: Server HOME PORT");
            System.exit(2);
        }
        Settings settings = Settings.builder()
                .put("path.home", arguments[0])
                .put("network.host", "127.0.0.1")
                .put("http.port", arguments[1])
                .put("transport.port", "0") // one from the system: a single node has no peers
                .put("discovery.type", "single-node")
                .put("http.type", "netty4")
                .put("transport.type", "netty4")
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .build();
        Node node = new EmbeddedNode(settings);
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (java.io.IOException failed) {
                System.err.println(failed);
            }
            stopped.countDown();
        }));
        node.start();
        stopped.await();
    }

    private static final class EmbeddedNode extends Node {
        EmbeddedNode(Settings settings) {
            super(
                    InternalSettingsPreparer.prepareEnvironment(
                            settings, Map.of(), Path.of(settings.get("path.home"), "config"), () -> "embedded"),
                    List.of(NewerClientsPlugin.class),
                    true);
        }
    }

    public static final class NewerClientsPlugin extends Netty4Plugin {
        @Override
        public Map<String, Supplier<HttpServerTransport>> getHttpTransports(
                Settings settings,
                ThreadPool threads,
                BigArrays arrays,
                PageCacheRecycler recycler,
                CircuitBreakerService breaker,
                NamedXContentRegistry registry,
                NetworkService network,
                HttpServerTransport.Dispatcher dispatcher,
                ClusterSettings cluster) {
            return Map.of("netty4", () -> new Netty4HttpServerTransport(
                    settings, network, arrays, threads, registry, dispatcher, cluster, new SharedGroupFactory(settings)) {
                @Override
                public ChannelHandler configureServerChannelHandler() {
                    return new HttpChannelHandler(this, handlingSettings) {
                        @Override
                        protected void initChannel(Channel channel) throws Exception {
                            super.initChannel(channel);
                            channel.pipeline().addAfter("encoder", "newer-clients", new NewerClients());
                        }
                    };
                }
            });
        }
    }

    private static final class NewerClients extends ChannelDuplexHandler {
        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            if (message instanceof HttpRequest) {
                plain((HttpRequest) message, "Content-Type");
                plain((HttpRequest) message, "Accept");
            }
            context.fireChannelRead(message);
        }

        @Override
        public void write(ChannelHandlerContext context, Object message, ChannelPromise promise) {
            if (message instanceof HttpResponse) {
                ((HttpResponse) message).headers().set("X-Elastic-Product", "Elasticsearch");
            }
            context.write(message, promise);
        }

        private static void plain(HttpMessage message, String header) {
            String type = message.headers().get(header);
            if (type != null) {
                message.headers().set(header, type.replaceAll(
                        "application/vnd\\.elasticsearch\\+([\\w-]+)\\s*;\\s*compatible-with=\\d+", "application/$1"));
            }
        }
    }
}
