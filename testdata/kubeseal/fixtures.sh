# Makes the files that the cases run with, in an empty folder. $KEYS holds the sealing keys, `real` is real kubeseal.
set -e
cp "$KEYS"/*.key "$KEYS"/*.crt "$KEYS"/*.pub .
cp rsa-2048.crt c.crt
cp rsa-2048.key k
w() { cat > "$1"; }
b() { base64 < "$1" | tr -d '\n'; }

# Secrets
w s.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata:
  name: s
  namespace: ns
data:
  a: eA==
  b: AAH/
Y
w s.json <<'Y'
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns"},"data":{"a":"eA=="}}
Y
w multi.yaml <<'Y'
---
# one
apiVersion: v1
kind: Secret
metadata:
  name: s
  namespace: ns
data:
  a: eA==
---
---
apiVersion: v1
kind: Secret
metadata:
  name: t
  namespace: ns
stringData:
  b: text
Y
w concat.json <<'Y'
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns"},"data":{"a":"eA=="}}
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"t","namespace":"ns"},"data":{"a":"eA=="}}{"apiVersion":"v1","kind":"Secret","metadata":{"name":"other","namespace":"ns"},"data":{"a":"eA=="}}
Y
w list.yaml <<'Y'
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  metadata:
    name: s
    namespace: ns
  data:
    a: eA==
Y
w configmap.yaml <<'Y'
apiVersion: v1
kind: ConfigMap
metadata:
  name: s
  namespace: ns
data:
  a: eA==
Y
w nons.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata:
  name: s
data:
  a: eA==
Y
w noname.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata:
  namespace: ns
data:
  a: eA==
Y
w empty.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata:
  name: s
  namespace: ns
Y
w full.yaml <<'Y'
# a comment
apiVersion: v1
kind: Secret
metadata:
  name: s
  namespace: ns
  uid: 11111111-2222-3333-4444-555555555555
  resourceVersion: "12"
  generation: 3
  creationTimestamp: "2024-01-01T00:00:00Z"
  deletionTimestamp: "2024-01-01T00:00:00Z"
  deletionGracePeriodSeconds: 3
  selfLink: /x
  finalizers: [f/x]
  labels:
    app: "1"
    z: "true"
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"x":1}'
    kubecfg.ksonnet.io/last-applied-configuration: copy
    note: "line one\nline two <&>"
  ownerReferences:
  - apiVersion: v1
    kind: Pod
    name: p
    uid: u
type: kubernetes.io/basic-auth
immutable: true
data:
  a: eA==
  b: eA==
stringData:
  b: two
  c: "ü\n"
Y
for s in cluster namespace; do sed "s#^metadata:#metadata:\n  annotations:\n    sealedsecrets.bitnami.com/$s-wide: \"true\"#" s.yaml > $s.yaml; done
sed 's/"true"/"True"/' cluster.yaml > notcluster.yaml
sed 's#^metadata:#metadata:\n  annotations:\n    sealedsecrets.bitnami.com/cluster-wide: "true"\n    sealedsecrets.bitnami.com/namespace-wide: "true"#' s.yaml > both.yaml
echo 'a: [canary' > broken.yaml; echo '{' > broken.json; echo '{"a": "canary' > cut.json
 echo hello > scalar.yaml; : > nothing.yaml; echo '# only' > comment.yaml
(cat s.yaml; echo ---; echo 'a: [canary') > halfbroken.yaml
(cat s.json; echo '{"canary"') > halfbroken.json
sed 's/eA==/canary!/' s.yaml > badb64.yaml
sed 's/eA==/[canary]/' s.yaml > badmap.yaml
(cat s.yaml; echo ---; cat noname.yaml) > halfnamed.yaml
(echo ...; echo 'junk: 1') | cat s.yaml - > dots.yaml
(echo '--- # x'; cat s.yaml) > docc.yaml
printf '\357\273\277' | cat - s.yaml > bom.yaml
sed 's/$/\r/' s.yaml > crlf.yaml
iconv -t utf-16 s.yaml > utf16.yaml
w annotated.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata:
  name: s
  namespace: ns
  annotations: {note: new}
  labels: {app: new, more: x}
data:
  a: eQ==
  new: bmV3
Y
w types.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata: {name: 1, namespace: ns, labels: {x: 1, y2: true}}
stringData: {a: 1, b: true, c: 1.5, 1: one}
Y
w block.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: ns}
data:
  a: |
    eHh4
    eHh4
  b: |
    eHh4
stringData:
  c: |
    line
    two
  d: >-
    folded
    text
Y
w anchors.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata: &m {name: s, namespace: ns}
stringData: {a: &x v, b: *x}
Y
w unknown.yaml <<'Y'
apiVersion: v1
kind: Secret
extra: 1
metadata: {name: s, namespace: ns, foo: bar}
data: {a: eA==}
Y
w managed.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata:
  name: s
  generateName: gen-
  namespace: ns
  managedFields:
  - manager: m
    operation: Update
    apiVersion: v1
    time: "2024-01-01T00:00:00Z"
    fieldsType: FieldsV1
    fieldsV1: {"f:data":{}}
data:
  a: eA==
Y
w words.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata:
  name: s
  namespace: ns
  annotations:
    a: "yes"
    b: "12"
    c: ""
    d: " x "
    e: "2024-01-01"
    f: "a: b"
    g: "# x"
    h: "\ttab"
    i: "ends\n"
    j: "two\nlines\n\n"
    k: "ümlaut \U0001F600"
    l: "~"
    m: "0x1f"
    nn: "1e3"
    o: "- x"
    p: "[x"
    q: "it's"
    r: 'say "x"'
    s: "null"
    t: "\u0007"
    u: "a very long annotation that goes on and on and on, well behind the eighty columns where an emitter of YAML may think of folding it"
    v: "@x"
    w: "1:20"
    x: "key:"
    z: "%x"
data:
  a: eA==
Y
w null.yaml <<'Y'
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: ns, labels: null, annotations: {}}
type: ""
immutable: null
data: {a: null, b: ""}
Y
printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ns}\ndata: {a: eA==, a: eQ==}\n' > dup.yaml
printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ns}\nstringData: {y: a}\n' > bool.yaml
printf 'x' > val; printf 'hello\nworld\n' > val2; : > val0

# Private keys as a backup of a cluster holds them
w key.yaml <<Y
apiVersion: v1
kind: Secret
metadata: {name: k1}
type: kubernetes.io/tls
data:
  tls.crt: $(b c.crt)
  tls.key: $(b k)
Y
w keylist.yaml <<Y
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  data: {tls.key: $(b rsa-4096.key)}
- apiVersion: v1
  kind: Secret
  data: {tls.key: $(b k)}
Y
w keylist.json <<Y
{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","data":{"tls.key":"$(b k)"}}]}
Y
(cat key.yaml; echo ---; sed "s/tls.key:.*/tls.key: $(b rsa-4096.key | sed 's/[&/]/\\&/g')/" key.yaml) > keys.yaml
sed 's/tls.key/other/' key.yaml > nokey.yaml
cat c.crt rsa-4096.crt > two.crt
(cat k; cat c.crt) > keycert.pem; (cat rsa-4096.key k) > twokeys.pem
(echo junk; cat c.crt) > junk.crt

# SealedSecrets
real --cert c.crt < s.yaml > sealed.json
real --cert c.crt -o yaml < s.yaml > sealed.yaml
real --cert c.crt -o yaml <full.yaml > sealedfull.yaml
real --cert c.crt -o yaml --scope cluster-wide <s.yaml > sealedc.yaml
real --cert c.crt -o yaml --scope namespace-wide <s.yaml > sealedn.yaml

# Kubeconfigs
w kc <<'Y'
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c
  cluster: {server: "http://127.0.0.1:1"}
users:
- name: u
  user: {}
contexts:
- name: one
  context: {cluster: c, user: u, namespace: fromctx}
- name: two
  context: {cluster: c, user: u}
- name: three
  context: {cluster: nosuch, user: u, namespace: n3}
- name: four
  context: {cluster: c, user: nosuch, namespace: n4}
Y
w kc2 <<'Y'
apiVersion: v1
kind: Config
current-context: two
contexts:
- name: one
  context: {cluster: c, user: u, namespace: second}
Y
sed '/current-context/d' kc > kcnone
# An author's own file
w own.yaml <<Y
# who made this, and why
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
    name: s   # the name
    namespace: ns
spec:
    encryptedData:
        # the old one
        a: $(printf old | real --raw --cert c.crt -n ns --name s)
    template:
        metadata:
            labels:
                app: old
Y
w whole.yaml <<Y
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: s, namespace: ns}
spec:
  data: $(printf '{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x"},"data":{"a":"eA=="}}' | real --raw --cert c.crt -n ns --name s)
Y
w literal.yaml <<Y
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: s, namespace: ns}
spec:
  encryptedData:
    a: $(printf x | real --raw --cert c.crt -n ns --name s)
  template:
    type: Opaque
    data: {plain: text, a: over}
Y
printf 'a: [canary' > kcbad; : > kcempty
mkdir -p .kube
