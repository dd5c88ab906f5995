"""What two object-relational mappers send: a small shop in Django, then the same tables read by SQLAlchemy."""

import datetime
import os
from decimal import Decimal

import django
from django.conf import settings

HOST, PORT, DATABASE = os.environ["PGHOST"], os.environ["PGPORT"], os.environ["PGDATABASE"]
USER, PASSWORD = os.environ["PGUSER"], os.environ["PGPASSWORD"]

settings.configure(
    SECRET_KEY="none",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.postgres"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": HOST,
            "PORT": PORT,
            "NAME": DATABASE,
            "USER": USER,
            "PASSWORD": PASSWORD,
        }
    },
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.postgres.aggregates import ArrayAgg, StringAgg  # noqa: E402
from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Q, Subquery, Sum, Value, When, Window  # noqa: E402
from django.db.models.functions import Coalesce, ExtractYear, Lower, Now, Rank, RowNumber, TruncMonth  # noqa: E402


class Tenant(models.Model):
    name = models.CharField(max_length=100, unique=True)
    settings = models.JSONField(default=dict)

    class Meta:
        app_label = "sessions"  # any that is installed
        db_table = "shop_tenant"


class Product(models.Model):
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="products")
    title = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2)
    tags = models.JSONField(default=list)
    active = models.BooleanField(default=True)

    class Meta:
        app_label = "sessions"  # any that is installed
        db_table = "shop_product"
        ordering = ["title"]


class Order(models.Model):
    tenant = models.ForeignKey(Tenant, models.CASCADE)
    products = models.ManyToManyField(Product, related_name="orders")
    status = models.CharField(max_length=20, default="placed")
    placed_at = models.DateTimeField(auto_now_add=True)
    parent = models.ForeignKey("self", models.SET_NULL, null=True)

    class Meta:
        app_label = "sessions"  # any that is installed
        db_table = "shop_order"


def django_shop():
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        for model in (Tenant, Product, Order):
            editor.create_model(model)
    tenants = [Tenant.objects.create(name=f"tenant {n}", settings={"plan": "pro", "n": n}) for n in range(3)]
    for tenant in tenants:
        Product.objects.bulk_create(
            Product(tenant=tenant, title=f"thing {n}", price=Decimal(n), tags=["a", "b"]) for n in range(10)
        )
        with transaction.atomic():
            order = Order.objects.create(tenant=tenant)
            order.products.set(tenant.products.all()[:3])
    one = tenants[0]
    products, orders = Product.objects, Order.objects
    reads = [
        products.get(pk=products.first().pk),
        list(products.filter(tenant=one, active=True)[:5]),
        list(products.filter(Q(price__gt=3) | Q(title__icontains="thing 1")).exclude(title="x").order_by("-price")),
        list(products.select_related("tenant").filter(tenant__name__startswith="tenant")),
        list(Tenant.objects.prefetch_related("products", "products__orders")),
        products.count(),
        products.filter(price__range=(1, 5)).exists(),
        products.aggregate(Avg("price"), Max("price"), total=Sum(F("price") * 2)),
        list(Tenant.objects.annotate(n=Count("products", filter=Q(products__active=True))).filter(n__gt=1)),
        list(products.values("tenant_id").annotate(n=Count("id")).order_by("-n")),
        list(products.values_list("title", flat=True).distinct()),
        list(products.in_bulk([1, 2, 3])),
        list(products.filter(id__in=[1, 2, 3, 4])),
        list(products.filter(tags__contains=["a"])),
        list(Tenant.objects.filter(settings__plan="pro", settings__n__gte=1)),
        list(orders.filter(Exists(products.filter(orders=OuterRef("pk"))))),
        list(Tenant.objects.annotate(last=Subquery(orders.filter(tenant=OuterRef("pk")).values("placed_at")[:1]))),
        list(orders.annotate(month=TruncMonth("placed_at"), year=ExtractYear("placed_at")).values("month", "year")),
        list(orders.filter(placed_at__lte=Now(), placed_at__date=datetime.date.today())),
        list(products.annotate(rank=Window(Rank(), partition_by="tenant", order_by=F("price").desc()))),
        list(products.annotate(row=Window(RowNumber(), order_by="id")).filter(row__lte=3)),
        list(products.annotate(kind=Case(When(price__lt=3, then=Value("cheap")), default=Value("dear")))),
        list(products.annotate(low=Lower("title"), known=Coalesce("title", Value("?"), output_field=models.TextField()))),
        list(products.union(products.filter(price=1)).order_by("id")),
        list(Tenant.objects.annotate(names=ArrayAgg("products__title"), line=StringAgg("products__title", ", ", output_field=models.TextField()))),
        list(products.annotate(rank=SearchRank(SearchVector("title"), SearchQuery("thing"))).order_by("-rank")),
        list(products.filter(title__search="thing")),
        list(products.filter(title__regex=r"^thing \d")),
        list(products.only("title").defer("tags")),
        products.latest("id"),
        products.filter(tenant=one).explain(),
        list(orders.dates("placed_at", "day")),
        list(products.iterator(chunk_size=7)),
        list(products.raw("select * from shop_product where price > %s", [2])),
        list(products.order_by("?")[:2]),
    ]
    assert all(read is not None for read in reads)
    user = get_user_model().objects.create_user("ann", password="x")
    assert user.has_perm("auth.add_user") is False
    session = SessionStore()
    session["a"] = 1
    session.save()
    assert SessionStore(session.session_key).get("a") == 1
    with transaction.atomic():
        list(products.select_for_update().filter(tenant=one))
        products.filter(tenant=one).update(price=F("price") + 1)
    orders.get_or_create(status="draft", defaults={"tenant": one})
    orders.filter(status="draft").delete()
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        for name in ("shop_product", "shop_order"):
            assert name in names
            connection.introspection.get_table_description(cursor, name)
            connection.introspection.get_relations(cursor, name)
            connection.introspection.get_constraints(cursor, name)
            connection.introspection.get_sequences(cursor, name)
    connection.close()


def sqlalchemy_shop():
    from sqlalchemy import MetaData, and_, create_engine, exists, func, inspect, or_, select, text
    from sqlalchemy.orm import Session, selectinload
    from sqlalchemy.ext.automap import automap_base

    engine = create_engine(f"postgresql+psycopg://{USER}:{PASSWORD}@{HOST}:{PORT}/{DATABASE}")
    metadata = MetaData()
    metadata.reflect(engine)
    inspector = inspect(engine)
    inspector.get_view_names()
    inspector.get_schema_names()
    inspector.get_sequence_names()
    Base = automap_base(metadata=metadata)
    Base.prepare()
    Product, Tenant, Order = Base.classes.shop_product, Base.classes.shop_tenant, Base.classes.shop_order
    with Session(engine) as session:
        session.get(Product, 1)
        session.scalars(select(Product).where(Product.price > 3).order_by(Product.title.desc()).limit(5)).all()
        session.scalars(select(Tenant).options(selectinload(Tenant.shop_product_collection))).all()
        session.execute(select(Tenant.name, func.count()).join(Product).group_by(Tenant.name).having(func.count() > 1)).all()
        session.execute(select(Product).where(or_(Product.title.ilike("%1%"), and_(Product.price < 2, Product.active)))).all()
        session.execute(select(Order).where(exists().where(Tenant.id == Order.tenant_id))).all()
        ranked = select(Product.id, func.row_number().over(partition_by=Product.tenant_id, order_by=Product.price).label("n"))
        session.execute(select(ranked.subquery()).where(ranked.subquery().c.n < 3)).all()
        tree = select(Order.id, Order.parent_id).where(Order.parent_id.is_(None)).cte("tree", recursive=True)
        tree = tree.union_all(select(Order.id, Order.parent_id).join(tree, Order.parent_id == tree.c.id))
        session.execute(select(tree)).all()
        session.execute(text("select coalesce(sum(price), 0) from shop_product where tenant_id = :t"), {"t": 1}).all()
        session.execute(select(func.now(), func.json_build_object("a", 1), func.to_char(func.now(), "YYYY"))).all()
        session.execute(select(Product).with_for_update().limit(1)).all()
        product = session.scalars(select(Product).limit(1)).one()
        product.title = "another thing"
        session.commit()
    engine.dispose()


django_shop()
sqlalchemy_shop()
print("all sent")
