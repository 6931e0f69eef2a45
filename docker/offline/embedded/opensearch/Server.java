// One OpenSearch 3.2 node for machines without a container registry: OpenSearch as it is, without its security plugin.
// It serves the laptop target and the tests.
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.Version;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;
import org.opensearch.transport.Netty4ModulePlugin;

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
                    List.of(new PluginInfo(
                            "transport-netty4", "HTTP and transport", "built in", Version.CURRENT, "21",
                            Netty4ModulePlugin.class.getName(), null, List.of(), false)),
                    true);
        }
    }
}
